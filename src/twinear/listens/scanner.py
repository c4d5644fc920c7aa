"""Last.fm-360K scanned by machine code: each line as three small numbers.

The same reading as `readers` gives, several times faster and in a third of the memory: a line is a
listener (numbered as they come), a spelling of an artist (MBID and name, numbered as they come)
and plays. What plain code cannot judge (a listener that is not ASCII, plays that are no plain
whole number) is left to `slow` on the lines concerned, so that both readings always agree.

Listeners and spellings are told apart by 64-bit hashes of their bytes: two of a million share one
with a chance of 3e-8.
"""

from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from itertools import islice
from pathlib import Path
from typing import Any, TypeAlias

import numpy as np
import numpy.typing as npt
import polars as pl

from twinear.compute.jit import compiled

Array: TypeAlias = npt.NDArray[Any]
Slow: TypeAlias = Callable[[bytes], tuple[list[str], list[int]]]  # lines -> listeners, plays

BYTES = 2**22  # read at a time; some pieces are there at once
READERS = 2
SEED, PRIME = np.uint64(0x9E3779B97F4A7C15), np.uint64(0xFF51AFD7ED558CCD)
HALF, ASCII = np.uint64(32), np.uint64(0x8080808080808080)
TAB, LINE_FEED = 9, 10
BAD = 0  # plays that are no whole number of at least 1
NOBODY = -1  # no listener
MALFORMED = -1  # no spelling: the line has another number of tabs
ODD = -2  # plays to be looked at again
MAX_PLAYS = 2**31 - 1


@compiled
def _byte(text: Array, at: int) -> int:
    """One byte; an index that cannot be negative needs no look at whether it is."""
    byte: int = text[np.uintp(at)]
    return byte


@compiled
def _word(text: Array, at: int) -> np.uint64:
    """Eight bytes, as one step of the machine's."""
    word = np.uint64(0)
    for i in range(8):
        word |= np.uint64(text[np.uintp(at + i)]) << np.uint64(8 * i)
    return word


@compiled
def _hash(text: Array, first: int, last: int) -> tuple[np.uint64, np.uint64]:
    """Hash some bytes, eight at a time; also the bits that any of them has."""
    hashed, bits = SEED ^ (np.uint64(last - first) * PRIME), np.uint64(0)
    at = first
    while at < last:
        if last - at >= 8:
            word = _word(text, at)
        else:
            word = np.uint64(0)
            for i in range(last - at):
                word |= np.uint64(_byte(text, at + i)) << np.uint64(8 * i)
        bits |= word
        hashed = (hashed ^ word) * PRIME
        hashed ^= hashed >> HALF
        at += 8
    hashed = (hashed ^ (hashed >> np.uint64(29))) * SEED
    return max(hashed ^ (hashed >> HALF), np.uint64(1)), bits


@compiled
def _blank(byte: int) -> bool:
    return byte == 32 or 11 <= byte <= 13


@compiled
def _whole(text: Array, first: int, last: int) -> int:
    """A plain whole number; `ODD` if it is none."""
    while last > first and _blank(_byte(text, last - 1)):
        last -= 1
    if last == first or last - first > 10:
        return ODD
    number = 0
    for i in range(first, last):
        digit = _byte(text, i) - 48
        if digit < 0 or digit > 9:
            return ODD
        number = 10 * number + digit
    return number if number <= MAX_PLAYS else BAD


@compiled
def _same(text: Array, at: int, other: int, n: int) -> bool:
    """Whether `n` bytes are the same; without a way out in between it is one step for many."""
    difference = 0
    for i in range(n):
        difference |= _byte(text, at + i) ^ _byte(text, other + i)
    return difference == 0


@compiled
def _plain(text: Array, at: int, n: int) -> bool:
    """Whether no tab and no line feed is in some bytes."""
    found = 0
    for i in range(n):
        found += (_byte(text, at + i) == TAB) | (_byte(text, at + i) == LINE_FEED)
    return found == 0


@compiled
def _scan(text: Array, n: int) -> tuple[Array, Array, Array, Array, Array, Array]:
    """Take the lines of text[:n], which ends in a line feed, apart.

    Returns hash of listener (0: none), hash of spelling (0: malformed), plays, and where each
    line begins, its spelling begins and ends.
    """
    n_lines = 0
    for i in range(n):
        n_lines += _byte(text, i) == LINE_FEED
    listener, spelling = np.zeros(n_lines, np.uint64), np.zeros(n_lines, np.uint64)
    plays, begins = np.zeros(n_lines, np.int32), np.zeros(n_lines + 1, np.int32)
    first, last = np.zeros(n_lines, np.int32), np.zeros(n_lines, np.int32)
    tabs = np.zeros(4, np.int64)
    at, before, long = 0, 0, n  # the last good line's begin, and how long its listener is
    known, strange = np.uint64(0), False  # that listener's hash, and whether it is not ASCII
    for line in range(n_lines):
        begins[line] = begin = at
        n_tabs = 0
        same = at + long < n and _byte(text, at + long) == TAB and _same(text, at, before, long)
        if same:  # mostly it is the listener of the line before, and then 36 letters of MBID
            tabs[0], n_tabs = at + long, 1
            at += long + 1
            if at + 36 < n and _byte(text, at + 36) == TAB and _plain(text, at, 36):
                tabs[1], n_tabs = at + 36, 2
                at += 37
        while _byte(text, at) != LINE_FEED:
            if _byte(text, at) == TAB:
                tabs[min(n_tabs, 3)] = at
                n_tabs += 1
            at += 1
        end = at
        at += 1
        if n_tabs != 3:
            continue
        first[line], last[line] = tabs[0] + 1, tabs[2]
        spelling[line], _ = _hash(text, tabs[0] + 1, tabs[2])
        plays[line] = _whole(text, tabs[2] + 1, end)
        if not same:
            before, long = begin, tabs[0] - begin
            stop = tabs[0]
            while stop > begin and _blank(text[stop - 1]):
                stop -= 1
            while begin < stop and _blank(text[begin]):
                begin += 1
            known, bits = _hash(text, begin, stop)
            strange = bits & ASCII != 0
            if begin == stop:
                known = np.uint64(0)
        listener[line] = known
        if strange:
            plays[line] = ODD
    begins[n_lines] = at
    return listener, spelling, plays, begins, first, last


@compiled
def _number(hashes: Array, keys: Array, numbers: Array, n: int) -> tuple[Array, Array, int]:
    """Number hashes as they come with the help of a table; says which are new (or -1) and where.

    The table must have room for all of them. Hash 0 is number -1.
    """
    found, new = np.empty(len(hashes), np.int32), np.empty(len(hashes), np.int32)
    mask, n_new, before, number = np.uint64(len(keys) - 1), 0, np.uint64(0), np.int32(-1)
    for i in range(len(hashes)):
        wanted = hashes[i]
        if wanted != before:  # the lines of a listener mostly follow each other
            before, number = wanted, np.int32(-1)
            if wanted != 0:
                at = wanted & mask
                while keys[at] != 0 and keys[at] != wanted:
                    at = (at + np.uint64(1)) & mask
                if keys[at] == 0:
                    keys[at], numbers[at] = wanted, n + n_new
                    new[n_new] = i
                    n_new += 1
                number = numbers[at]
        found[i] = number
    return found, new[:n_new], n + n_new


@compiled
def _moved(keys: Array, numbers: Array, size: int) -> tuple[Array, Array]:
    """The same table with more room."""
    new_keys, new_numbers = np.zeros(size, np.uint64), np.zeros(size, np.int32)
    mask = np.uint64(size - 1)
    for i in range(len(keys)):
        if keys[i] != 0:
            at = keys[i] & mask
            while new_keys[at] != 0:
                at = (at + np.uint64(1)) & mask
            new_keys[at], new_numbers[at] = keys[i], numbers[i]
    return new_keys, new_numbers


@dataclass(kw_only=True)
class Numbers:
    """Numbers given to hashes, from 0, in the order in which they come."""

    n: int = 0
    _keys: Array = field(default_factory=lambda: np.zeros(2**16, np.uint64))
    _numbers: Array = field(default_factory=lambda: np.zeros(2**16, np.int32))

    def of(self, hashes: Array) -> tuple[Array, Array]:
        """The number of each hash, -1 of hash 0; and where those are that are new."""
        room = len(self._keys)
        while 2 * (self.n + len(hashes)) > room:
            room *= 2
        if room > len(self._keys):
            self._keys, self._numbers = _moved(self._keys, self._numbers, room)
        found, new, self.n = _number(hashes, self._keys, self._numbers, self.n)
        return found, new


def hash_texts(texts: pl.Series) -> Array:
    """The hash of each text's bytes, 0 of an empty one."""
    arrow = texts.to_arrow(compat_level=pl.CompatLevel.oldest())
    _, offsets, letters = arrow.buffers()
    starts = np.frombuffer(offsets, np.int64)[arrow.offset : arrow.offset + len(arrow) + 1]
    text = np.frombuffer(letters, np.uint8) if letters is not None else np.empty(0, np.uint8)
    hashes: Array = _hash_each(text, starts)
    return hashes


@compiled
def _hash_each(text: Array, starts: Array) -> Array:
    hashes = np.zeros(len(starts) - 1, np.uint64)
    for i in range(len(hashes)):
        if starts[i] < starts[i + 1]:
            hashes[i] = _hash(text, starts[i], starts[i + 1])[0]
    return hashes


@dataclass(frozen=True, kw_only=True, eq=False)
class Lines:
    """Some lines as numbers.

    Attributes
    ----------
    listener
        int32, `NOBODY` where there is none.
    plays
        int32, `BAD` where they are no whole number of at least 1.
    spelling
        int32, `MALFORMED` where there is none.
    """

    listener: Array
    plays: Array
    spelling: Array


@dataclass(frozen=True, kw_only=True, eq=False)
class Scan:
    """A file's listeners and spellings, known when its lines have been read.

    Attributes
    ----------
    spellings
        Those that were new in each piece, as lines of the file without listener and plays.
    """

    path: Path
    slow: Slow
    listeners: Numbers = field(default_factory=Numbers)
    spellings: list[Array] = field(default_factory=list)
    _numbers: Numbers = field(default_factory=Numbers)

    def lines(self) -> Iterator[Lines]:
        """Read the file once, some ten thousand lines at a time, in their order."""
        with ThreadPoolExecutor(READERS) as pool:
            texts = _texts(self.path)
            flying = [pool.submit(_taken_apart, text) for text in islice(texts, READERS)]
            while flying:
                text, scanned = flying.pop(0).result()
                flying += [pool.submit(_taken_apart, each) for each in islice(texts, 1)]
                yield self._numbered(text, scanned)

    def _numbered(self, text: Array, scanned: tuple[Array, ...]) -> Lines:
        listener, spelling, plays, begins, first, last = scanned
        if (plays == ODD).any():
            self._look_again(text, listener, plays, begins)
        who, _ = self.listeners.of(listener)
        number, new = self._numbers.of(spelling)
        self.spellings.append(_copied(text, first[new], last[new]))
        return Lines(listener=who, plays=plays, spelling=number)

    def _look_again(self, text: Array, listener: Array, plays: Array, begins: Array) -> None:
        """Ask `slow` about the odd lines."""
        odd = np.flatnonzero(plays == ODD)
        lines = b"".join(text[begins[i] : begins[i + 1]].tobytes() for i in odd)
        names, counts = self.slow(lines)
        plays[odd] = counts
        listener[odd] = hash_texts(pl.Series(names, dtype=pl.String))


@compiled
def _copied(text: Array, first: Array, last: Array) -> Array:
    """Spellings as lines that have no listener and no plays."""
    copy = np.empty((last - first).sum() + 3 * len(first), np.uint8)
    n = 0
    for i in range(len(first)):
        copy[n] = TAB
        for at in range(first[i], last[i]):
            n += 1
            copy[n] = text[at]
        copy[n + 1], copy[n + 2] = TAB, LINE_FEED
        n += 3
    return copy


def _texts(path: Path) -> Iterator[Array]:
    """The file in pieces that end with a line; a last line without an end gets one."""
    with path.open("rb", buffering=0) as file:
        rest = np.empty(0, np.uint8)
        while True:
            piece = np.empty(len(rest) + BYTES, np.uint8)
            piece[: len(rest)] = rest
            n = len(rest) + file.readinto(piece[len(rest) :].data)
            if n == len(rest):
                break
            end = _after_last_line(piece, n)
            rest = piece[end:n].copy()
            if end:
                yield piece[:end]
        if len(rest):
            yield np.append(rest, np.uint8(LINE_FEED))


@compiled
def _after_last_line(text: Array, n: int) -> int:
    while n and text[n - 1] != LINE_FEED:
        n -= 1
    return n


def _taken_apart(text: Array) -> tuple[Array, tuple[Array, ...]]:
    scanned = _scan(text, len(text))
    if not text.all():
        _, spelling, _, begins, _, last = scanned
        _cut_at_zeros(text, spelling, begins, last)
    return text, scanned


def _cut_at_zeros(text: Array, spelling: Array, begins: Array, last: Array) -> None:
    """A zero byte ends a line, as polars reads it: before the plays it leaves too few fields."""
    zeros = np.flatnonzero(text == 0)
    line = np.searchsorted(begins, zeros, side="right") - 1
    spelling[line[zeros < last[line]]] = 0

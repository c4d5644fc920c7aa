"""One identity per artist, however the name is spelt.

An artist is identified by its MusicBrainz id (MBID) where one is known, else by its normalised
name without featured guests, so that "Beyoncé" and "BEYONCE", "The Beatles" and "Beatles, The",
"R.E.M." and "REM", "Drake" and "Drake feat. Rihanna" are one artist each;
`docs/explanation/identity.md` has every rule by example. Two MBIDs are two artists, even if they
share a name. Merged MBIDs are followed in `redirects`, not here.
"""

import csv
import re
import unicodedata
from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from twinear.base.checksums import verify_checksums
from twinear.base.errors import DataError, nearest
from twinear.base.files import require

if TYPE_CHECKING:  # slow to import, and most of this module does without
    import pandas as pd

COLUMNS = {"artist": str, "name": str, "mbid": str, "listeners": int, "plays": int}

MAX_LISTED = 20  # namesakes in an error

MBID = re.compile(r"[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}")

# Letters that Unicode does not decompose, but that plain spellings replace.
PLAIN = {"æ": "ae", "œ": "oe", "ø": "o", "đ": "d", "ł": "l", "ð": "d", "þ": "th", "ё": "е"}  # noqa: RUF001
PLAIN |= {"\N{LATIN SMALL LETTER DOTLESS I}": "i", "\N{ARABIC TATWEEL}": ""}
APOSTROPHES = "'`´‘’‛′ʹʻʼ"  # noqa: RUF001
# Articles that stand behind the name in a sort name: "Beatles, The", "Toten Hosen, Die".
ARTICLES = {"a", "an", "das", "der", "die", "el", "la", "las", "le", "les", "los", "the"}
# Combining marks of European scripts and of symbols. In other scripts marks are vowels.
ACCENTS = re.compile(
    "[\u0300-\u036f\u1ab0-\u1aff\u1dc0-\u1dff\u20d0-\u20ff\ufe00-\ufe0f\ufe20-\ufe2f]"
)
IS_NORMAL = re.compile(r"(?!the )(?=.*[a-z]{3})[a-z]{2,}(?: [a-z]{2,})*")
N_FOR_AND = re.compile(r"'n(?:'|\b)")  # Rock'n'Roll
AND = re.compile(r"&|(?<=\w)\+(?=\w)|(?<=\s)\+(?=\s)")  # not "+44"
DOLLAR_FOR_S = re.compile(r"(?<=[^\W\d_])\$+|\$+(?=[^\W\d_])")  # Ke$ha, not $100
LEADING_THE = re.compile(r"^(?:the\b[\s./\\_:-]*)+")
# Signs that are often left out of short names: AC/DC, a-ha, UB-40, N*E*R*D
JOINERS = re.compile(r"[\s./\\_:\"“”„«»·・‐-―-]+|(?<=\w)\*(?=\w)")  # noqa: RUF001
GUESTS = re.compile(
    r"(?<=[\s,;/])(?:feat|ft|featuring)"
    r"(?:[.:]\s*\S|\s+(?!(?:feat|ft|featuring|and|with)\b)[\w$\"'])",
    re.IGNORECASE,
)
GUESTS_IN_BRACKETS = re.compile(
    r"[(\[{（【]\s*(?:feat|ft|featuring)\b[^)\]}）】]*[)\]}）】]*",  # noqa: RUF001
    re.IGNORECASE,
)


class _Table(dict[int, str | None]):
    """A table for `str.translate` that is filled on demand."""

    def __init__(self, rule: Callable[[str], str | None]) -> None:
        super().__init__()
        self._rule = rule

    def __missing__(self, code: int) -> str | None:
        self[code] = self._rule(chr(code))
        return self[code]


def _seen(char: str) -> str | None:
    """Drop format characters (zero-width space), read every apostrophe as one."""
    if char in APOSTROPHES:
        return "'"
    return None if unicodedata.category(char) == "Cf" else char


def _plain(char: str) -> str | None:
    """Drop accents; in other scripts than Latin and Greek a letter with a mark is another one."""
    if ACCENTS.match(char):
        return None
    base = unicodedata.normalize("NFD", char)[0]
    letter = base if base < "\u0400" and char.isalpha() else char
    return PLAIN.get(letter, letter)


def _spaced(char: str) -> str:
    """Read signs as spaces."""
    return char if unicodedata.category(char)[0] in "LMN" else " "


_SEEN, _PLAIN, _SPACED = _Table(_seen), _Table(_plain), _Table(_spaced)


def normalise_name(name: str) -> str:
    """Reduce a name to what its spellings have in common.

    `docs/explanation/identity.md` has the rules by example. A name without letters keeps its
    signs, so that no two of them become one. Idempotent; "" only for a blank name.

    Examples
    --------
    >>> [normalise_name(name) for name in ("The Beatles", "Beatles, The", "BEATLES", "Beyoncé")]
    ['beatles', 'beatles', 'beatles', 'beyonce']
    >>> [normalise_name(name) for name in ("R.E.M.", "AC/DC", "Destiny's Child", "Ke$ha")]
    ['rem', 'acdc', 'destinys child', 'kesha']
    >>> [normalise_name(name) for name in ("Florence + the Machine", "+44", "!!!", "The The")]
    ['florence and the machine', '+44', '!!!', 'the the']
    """
    is_ascii = name.isascii()  # then there is nothing to decompose, which is the slow part
    if is_ascii:
        text = name.lower().replace("`", "'")
        if IS_NORMAL.fullmatch(text):  # most names: they have nothing that a rule is about
            return text
    else:  # folding case can bring accents that have to be composed again
        text = unicodedata.normalize("NFKC", name.translate(_SEEN)).casefold()
        text = unicodedata.normalize("NFKC", text).translate(_SEEN).translate(_PLAIN)
    words = text.split()
    spelt = text = " ".join(words)
    if not "".join(words).isalnum():
        text = _restore_article(text)
        spelt = _spell_signs(text)
        words = spelt.translate(_SPACED).split()
    if 1 in map(len, words):
        words = _join_initials(words)
    n_words = len(words)
    while words and words[0] == "the":
        del words[0]
    letters = "".join(words)
    if not letters.isalpha() and not any(map(str.isalpha, letters)):
        normal = text or " ".join(name.casefold().split())
        normal = LEADING_THE.sub("", normal) if words else normal
    elif max(map(len, words)) > 2:
        normal = " ".join(words)
    else:  # a short name
        bare = JOINERS.sub("", LEADING_THE.sub("", spelt) if len(words) < n_words else spelt)
        normal = bare if bare == text else normalise_name(bare)
    if is_ascii or unicodedata.is_normalized("NFC", normal):
        return normal
    return normalise_name(unicodedata.normalize("NFC", normal))


def spell_plainly(name: str) -> str:
    """Reduce a name to its words as somebody types them, one letter after the other.

    The words in lower case without accents; apostrophes are left out and other signs are spaces.
    What a part of a name is reduced to is the beginning of what the whole is reduced to, which is
    not so in `normalise_name`: that leaves out articles and joins initials. "" for signs alone.

    Examples
    --------
    >>> [spell_plainly(name) for name in ("The Beatles", "R.E.M.", "Guns N' Roses", "BEYONCÉ")]
    ['the beatles', 'r e m', 'guns n roses', 'beyonce']
    """
    text = unicodedata.normalize("NFKC", name.translate(_SEEN)).casefold()
    text = unicodedata.normalize("NFKC", text).translate(_SEEN).translate(_PLAIN)
    return " ".join(text.replace("'", "").translate(_SPACED).split())


def _restore_article(text: str) -> str:
    """Put the article of a sort name in front: "beatles, the"."""
    head, _, article = text.rpartition(",")
    if article.strip() in ARTICLES and any(map(str.isalnum, head)):
        return _restore_article(f"{article.strip()} {head.strip()}")
    return text


def _spell_signs(text: str) -> str:
    """Read "&" and "+" as "and", "$" as "s", apostrophes as nothing."""
    if ("&" in text or "+" in text) and any(map(str.isalnum, text)):
        text = AND.sub(" and ", text)
    if "$" in text:
        text = DOLLAR_FOR_S.sub(lambda dollars: "s" * len(dollars[0]), text)
    if "'" in text:
        text = N_FOR_AND.sub(" n ", text).replace("'", "")
    return text


def _join_initials(words: list[str]) -> list[str]:
    """Make one word of single letters that follow each other: r.e.m., j. j. cale."""
    joined: list[str] = []
    was_initial = False
    for word in words:
        is_initial = len(word) == 1 and word.isalpha()
        if is_initial and was_initial:
            joined[-1] += word
        else:
            joined.append(word)
        was_initial = is_initial
    return joined


def strip_featured(name: str) -> str:
    """Cut the featured guests off an artist's name; a name that consists of them is kept.

    Examples
    --------
    >>> [strip_featured(name) for name in ("Drake feat. Rihanna", "Drake (ft. Rihanna)")]
    ['Drake', 'Drake']
    >>> [strip_featured(name) for name in ("Little Feat", "Ft. Lauderdale", "10 Ft. Ganja Plant")]
    ['Little Feat', 'Ft. Lauderdale', '10 Ft. Ganja Plant']
    """
    if "f" not in name and "F" not in name:
        return name
    main = GUESTS_IN_BRACKETS.sub(" ", name)
    if guests := GUESTS.search(main):
        main = main[: guests.start()]
        if main.strip().isdigit() and guests[0][:2].lower() == "ft":  # a length in feet
            return name
    if main == name:
        return name
    main = " ".join(main.split()).rstrip(" ,;/-–")
    return name if main.casefold() in {"", "the"} else main


def is_mbid(text: str) -> bool:
    """Whether `text` is a MusicBrainz id in lower case."""
    return MBID.fullmatch(text) is not None


def artist_id(mbid: str, name: str) -> str:
    """Return the MBID in lower case if it is valid, else the normalised name without guests.

    Examples
    --------
    >>> artist_id("n/a", "The Air feat. Other")
    'air'
    """
    mbid = mbid.strip().lower()
    return mbid if is_mbid(mbid) else normalise_name(strip_featured(name))


def strip_spellings(spellings: Iterable[tuple[str, str]]) -> list[str]:
    """Return the names of (MBID, name) without featured guests.

    A name with an MBID stays whole, and so does one that is borne by an artist with an MBID.
    """
    names, whole = [], set()
    for mbid, name in spellings:
        is_known = is_mbid(mbid.strip().lower())
        names.append((name, name if is_known else strip_featured(name)))
        if is_known and strip_featured(name) != name:
            whole.add(normalise_name(name))
    return [
        name if stripped != name and normalise_name(name) in whole else stripped
        for name, stripped in names
    ]


def normalise_spellings(spellings: Iterable[tuple[str, str]]) -> list[tuple[str, str]]:
    """Normalise each (MBID, name); an invalid MBID becomes ""."""
    lower = ((mbid.strip().lower(), name) for mbid, name in spellings)
    return [(mbid if is_mbid(mbid) else "", normalise_name(name)) for mbid, name in lower]


def identify(spellings: Sequence[tuple[str, str]]) -> list[str]:
    """Return the artist of each normalised (MBID, name) of one source.

    A spelling without MBID belongs to the artist with an MBID and the same name, if there is
    exactly one.

    Examples
    --------
    >>> mbid = "cb67438a-7f50-4f2b-a6f1-2bb2729fd538"
    >>> identify([(mbid, "air"), ("", "air"), ("", "other")]) == [mbid, mbid, "other"]
    True
    """
    by_name = {"": ""}  # "" also for the names that several artists share
    for mbid, name in spellings:
        if mbid and by_name.setdefault(name, mbid) != mbid:
            by_name[name] = ""
    return [mbid or by_name.get(name) or name for mbid, name in spellings]


@dataclass(frozen=True, kw_only=True)
class Collisions:
    """Where identity by id and identity by name disagree.

    Parameters
    ----------
    names, mbids
        Number of names with several MBIDs, and of MBIDs with several (normalised) names.
    examples_of_names, examples_of_mbids
        The most frequent of them -> their MBIDs or names, most rows first.
    """

    names: int
    mbids: int
    examples_of_names: dict[str, list[str]]
    examples_of_mbids: dict[str, list[str]]


def find_collisions(
    spellings: Sequence[tuple[str, str]], rows: Sequence[int], n_examples: int = 5
) -> Collisions:
    """Find the names and the MBIDs that several artists share.

    Parameters
    ----------
    spellings
        From `normalise_spellings`.
    rows
        The number of rows with each spelling.
    """
    by_name = _find_shared(spellings, rows)
    by_mbid = _find_shared([spelling[::-1] for spelling in spellings], rows)
    return Collisions(
        names=len(by_name),
        mbids=len(by_mbid),
        examples_of_names=_most_frequent(by_name, n_examples),
        examples_of_mbids=_most_frequent(by_mbid, n_examples),
    )


def _find_shared(pairs: Sequence[tuple[str, str]], rows: Sequence[int]) -> dict[str, Counter[str]]:
    """Of (value, key): keys with several values -> the rows of each value."""
    first: dict[str, str] = {}
    shared = {
        key for value, key in pairs if value and key and first.setdefault(key, value) != value
    }
    values: defaultdict[str, Counter[str]] = defaultdict(Counter)
    for (value, key), n in zip(pairs, rows, strict=True):
        if key in shared and value:
            values[key][value] += n
    return values


def _most_frequent(shared: dict[str, Counter[str]], n: int) -> dict[str, list[str]]:
    keys = sorted(shared, key=lambda key: (-shared[key].total(), key))[:n]
    return {key: [value for value, _ in shared[key].most_common(n)] for key in keys}


def write_artists(artists: "pd.DataFrame", path: Path) -> None:
    """Write a table of artists; names may hold quotes, commas and line breaks."""
    artists.to_csv(
        path, columns=list(COLUMNS), index=False, quoting=csv.QUOTE_NONNUMERIC, lineterminator="\n"
    )


def read_artists(path: Path, remedy: str, *, may_be_empty: bool = False) -> "pd.DataFrame":
    """Read a table written by `write_artists`.

    Parameters
    ----------
    may_be_empty
        Accept a table without artists: that of a data folder without listens.

    Raises
    ------
    DataError
        Missing, changed since it was written, unreadable, other columns, no artist, or an artist
        in two rows.
    """
    import pandas as pd

    verify_checksums(path.parent, [path.name], remedy)
    try:
        artists = pd.read_csv(require(path, remedy), dtype=COLUMNS, keep_default_na=False)
    except ValueError as error:
        raise DataError(path, f"is not a table of artists ({error})", remedy=remedy) from None
    if list(artists.columns) != list(COLUMNS):
        found = f"columns {', '.join(artists.columns)}"
        raise DataError(path, found, expected=", ".join(COLUMNS), remedy=remedy)
    if artists.empty and not may_be_empty:
        found = "holds no artist: the data folder has no listens"
        raise DataError(path, found, remedy="bring some in with 'twinear import --listens …'")
    if not artists["artist"].is_unique:
        raise DataError(path, "has an artist in two rows", remedy=remedy)
    return artists


def find_artist(artists: "pd.DataFrame", query: str, place: Path) -> dict[str, str]:
    """Return the id and name of the artist with that id or name; case and accents are ignored.

    Raises
    ------
    DataError
        No such artist (the message suggests similar names), or several.
    """
    key, names = normalise_name(query), [normalise_name(name) for name in artists["name"]]
    # compared in Python: the query may be no UTF-8, which Arrow's strings refuse
    ids = query, query.strip().lower()
    matches = artists[[artist in ids for artist in artists["artist"]]]
    if matches.empty:
        matches = artists[[name == key for name in names]]
    if len(matches) == 1:
        return {column: str(matches[column].item()) for column in ("artist", "name")}
    if len(matches) > 1:
        raise several_artists(
            place, query, list(zip(matches["name"], matches["artist"], strict=True))
        )
    spelt = dict(zip(names, artists["name"], strict=True))
    near = [spelt[name] for name in nearest(key, spelt, n=3)]
    raise no_artist(place, query, len(artists), near)


def several_artists(place: Path, query: str, namesakes: Sequence[tuple[str, str]]) -> DataError:
    """Build the error for a name that several artists, (name, id), bear."""
    listed = ", ".join(f"{name} ({artist})" for name, artist in namesakes[:MAX_LISTED])
    more = len(namesakes) - MAX_LISTED
    found = f"several artists '{query}': {listed}" + (f" and {more} more" if more > 0 else "")
    return DataError(place, found, remedy="give the id")


def no_artist(place: Path, query: str, n_artists: int, near: Iterable[str]) -> DataError:
    """Build the error for a name that no artist bears; `near` are the most similar names."""
    suggestions = ", ".join(f"'{name}'" for name in near)
    remedy = f"did you mean {suggestions}?" if suggestions else "check the spelling, or give the id"
    return DataError(place, f"no artist '{query}' among {n_artists}", remedy=remedy)

"""One identity per artist, however the name is spelt.

An artist is identified by its MusicBrainz id (MBID) where one is known, else by its normalised
name, so that "Beyoncé" and "BEYONCE", "The Beatles" and "Beatles", "Simon & Garfunkel" and "Simon
and Garfunkel" are one artist each. Two MBIDs are two artists, even if they share a name. Merged
MBIDs are followed in `redirects`, not here.
"""

import csv
import re
import unicodedata
from collections import Counter, defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

import pandas as pd

from twinear.base.errors import DataError, nearest
from twinear.base.files import require

COLUMNS = {"artist": str, "name": str, "mbid": str, "listeners": int, "plays": int}

MBID = re.compile(r"[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}")

# "&" is a word; the others are letters that Unicode does not decompose but plain spellings replace.
PLAIN: dict[str, str | None] = {"&": " and ", "æ": "ae", "œ": "oe", "ø": "o", "đ": "d", "ł": "l"}
PLAIN |= {"ð": "d", "þ": "th", "\N{LATIN SMALL LETTER DOTLESS I}": "i"}


class _Letters(dict[int, str | None]):
    """A table for `str.translate`, filled on demand: accents are dropped, signs become spaces.

    Only the combining marks of European scripts are accents: in other scripts they are vowels.
    Format characters (zero-width space) are dropped too.
    """

    def __missing__(self, code: int) -> str | None:
        kind = unicodedata.category(chr(code))
        if 0x300 <= code <= 0x36F or kind == "Cf":
            self[code] = None
        else:
            self[code] = chr(code) if kind[0] in "LMN" else " "
        return self[code]


_LETTERS = _Letters(str.maketrans(PLAIN))


def normalise_name(name: str) -> str:
    """Reduce a name to what its spellings have in common.

    Case, accents, punctuation, spacing and a leading "the" are dropped, "&" is read as "and".
    When nothing is left ("!!!", "The"), it is the name in lower case. Idempotent; "" only for a
    blank name.

    Examples
    --------
    >>> normalise_name("The Beatles"), normalise_name("Beyoncé"), normalise_name("AC/DC")
    ('beatles', 'beyonce', 'ac dc')
    """
    is_ascii = name.isascii()  # then there is nothing to decompose, which is the slow part
    if is_ascii:
        letters = name.lower()
    else:  # folding case can bring accents that have to be decomposed again
        letters = unicodedata.normalize("NFKD", unicodedata.normalize("NFKD", name).casefold())
    words = letters.translate(_LETTERS).split()
    while words and words[0] == "the":
        del words[0]
    text = " ".join(words)
    text = text if is_ascii else unicodedata.normalize("NFC", text)
    return text or " ".join(name.casefold().split())


def is_mbid(text: str) -> bool:
    """Whether `text` is a MusicBrainz id in lower case."""
    return MBID.fullmatch(text) is not None


def artist_id(mbid: str, name: str) -> str:
    """Return the MBID in lower case if it is valid, else the normalised name.

    Examples
    --------
    >>> artist_id("n/a", "The Air")
    'air'
    """
    mbid = mbid.strip().lower()
    return mbid if is_mbid(mbid) else normalise_name(name)


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


def write_artists(artists: pd.DataFrame, path: Path) -> None:
    """Write a table of artists; names may hold quotes, commas and line breaks."""
    artists.to_csv(
        path, columns=list(COLUMNS), index=False, quoting=csv.QUOTE_NONNUMERIC, lineterminator="\n"
    )


def read_artists(path: Path, remedy: str) -> pd.DataFrame:
    """Read a table written by `write_artists`.

    Raises
    ------
    DataError
        Missing, unreadable, other columns, no artist, or an artist in two rows.
    """
    try:
        artists = pd.read_csv(require(path, remedy), dtype=COLUMNS, keep_default_na=False)
    except ValueError as error:
        raise DataError(path, f"is not a table of artists ({error})", remedy=remedy) from None
    if list(artists.columns) != list(COLUMNS) or artists.empty:
        found = f"columns {', '.join(artists.columns)} in {len(artists)} rows"
        raise DataError(path, found, expected=", ".join(COLUMNS), remedy=remedy)
    if not artists["artist"].is_unique:
        raise DataError(path, "has an artist in two rows", remedy=remedy)
    return artists


def find_artist(artists: pd.DataFrame, query: str, place: Path) -> dict[str, str]:
    """Return the id and name of the artist with that id or name; case and accents are ignored.

    Raises
    ------
    DataError
        No such artist (the message suggests similar names), or several.
    """
    names = artists["name"].map(normalise_name)
    matches = artists[artists["artist"].isin([query, query.strip().lower()])]
    if matches.empty:
        matches = artists[names == normalise_name(query)]
    if len(matches) == 1:
        return {column: str(matches[column].item()) for column in ("artist", "name")}
    if len(matches) > 1:
        pairs = zip(matches["name"], matches["artist"], strict=True)
        namesakes = ", ".join(f"{name} ({artist})" for name, artist in pairs)
        raise DataError(place, f"several artists '{query}': {namesakes}", remedy="give the id")
    spelt = dict(zip(names, artists["name"], strict=True))
    near = ", ".join(f"'{spelt[name]}'" for name in nearest(normalise_name(query), spelt, n=3))
    remedy = f"did you mean {near}?" if near else "see artists.csv there for the names"
    raise DataError(place, f"no artist '{query}' among {len(artists)}", remedy=remedy)

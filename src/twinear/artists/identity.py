"""Who is who: one identity per artist, however the name is spelt.

An artist is its MusicBrainz id (MBID) where one is known, else its normalised name, so that
"Beyoncé" and "BEYONCE", "The Beatles" and "Beatles", "Simon & Garfunkel" and "Simon and Garfunkel"
are one artist each. Two MBIDs are two artists, also when they share a name. Merged MBIDs are not
followed here, `redirects` knows them.
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

# "&" is a word; the rest are letters that Unicode does not take apart but plain spellings do.
PLAIN: dict[str, str | None] = {"&": " and ", "æ": "ae", "œ": "oe", "ø": "o", "đ": "d", "ł": "l"}
PLAIN |= {"ð": "d", "þ": "th", "\N{LATIN SMALL LETTER DOTLESS I}": "i"}


class _Letters(dict[int, str | None]):
    """A table for `str.translate`, filled as it is used: accents go, other signs become spaces.

    Only the accents of European scripts go: in others such marks are vowels. Format characters
    (zero-width space) go too.
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
    """Reduce a name to what two spellings of it share.

    Case, accents, punctuation, spacing and a leading "the" are dropped, "&" is read as "and".
    When nothing is left ("!!!", "The"), it is the name in lower case. Idempotent; "" only for a
    blank name.
    """
    plain = name.isascii()  # then there is nothing to take apart or to put together
    letters = name.lower() if plain else _taken_apart(name)
    words = letters.translate(_LETTERS).split()
    while words and words[0] == "the":
        del words[0]
    text = " ".join(words)
    whole = text if plain else unicodedata.normalize("NFC", text)
    return whole or " ".join(name.casefold().split())


def _taken_apart(name: str) -> str:
    """A name without case, its accents after their letters."""
    return unicodedata.normalize("NFKD", unicodedata.normalize("NFKD", name).casefold())


def is_mbid(text: str) -> bool:
    """Whether `text` is a MusicBrainz id, in lower case."""
    return MBID.fullmatch(text) is not None


def artist_id(mbid: str, name: str) -> str:
    """Return the MBID in lower case if it is one, else the normalised name."""
    mbid = mbid.strip().lower()
    return mbid if is_mbid(mbid) else normalise_name(name)


def normalise_spellings(spellings: Iterable[tuple[str, str]]) -> list[tuple[str, str]]:
    """Reduce each (MBID, name) to what counts of it; "" for an MBID that is none."""
    lower = ((mbid.strip().lower(), name) for mbid, name in spellings)
    return [(mbid if is_mbid(mbid) else "", normalise_name(name)) for mbid, name in lower]


def identify(pairs: Sequence[tuple[str, str]]) -> list[str]:
    """Say which artist each (MBID, name) of one source is, as `normalise_spellings` gives them.

    A spelling without MBID is the artist with an MBID that has the same normalised name, if
    there is exactly one.
    """
    owner: dict[str, str] = {"": ""}  # "": nobody's, or several's
    for mbid, name in pairs:
        if mbid and owner.setdefault(name, mbid) != mbid:
            owner[name] = ""
    return [mbid or owner.get(name) or name for mbid, name in pairs]


@dataclass(frozen=True, kw_only=True)
class Collisions:
    """Where identity by id and identity by name disagree.

    Parameters
    ----------
    names, mbids
        Names that several MBIDs bear; MBIDs that bear several names (normalised).
    examples_of_names, examples_of_mbids
        Those in most rows: what collides -> what it collides with, most rows first.
    """

    names: int
    mbids: int
    examples_of_names: dict[str, list[str]]
    examples_of_mbids: dict[str, list[str]]


def find_collisions(
    pairs: Sequence[tuple[str, str]], rows: Sequence[int], n_examples: int = 5
) -> Collisions:
    """Count who shares a name or an MBID.

    Parameters
    ----------
    pairs
        As `normalise_spellings` gives them.
    rows
        In how many rows each of them stands.
    """
    of_name, of_mbid = _several(pairs, rows), _several([pair[::-1] for pair in pairs], rows)
    return Collisions(
        names=len(of_name),
        mbids=len(of_mbid),
        examples_of_names=_largest(of_name, n_examples),
        examples_of_mbids=_largest(of_mbid, n_examples),
    )


def _several(pairs: Sequence[tuple[str, str]], rows: Sequence[int]) -> dict[str, Counter[str]]:
    """Of (value, key): the keys with several values, and the rows of each value."""
    first: dict[str, str] = {}
    several = {
        key for value, key in pairs if value and key and first.setdefault(key, value) != value
    }
    found: defaultdict[str, Counter[str]] = defaultdict(Counter)
    for (value, key), n in zip(pairs, rows, strict=True):
        if key in several and value:
            found[key][value] += n
    return found


def _largest(found: dict[str, Counter[str]], n: int) -> dict[str, list[str]]:
    keys = sorted(found, key=lambda key: (-found[key].total(), key))[:n]
    return {key: [value for value, _ in found[key].most_common(n)] for key in keys}


def write_artists(artists: pd.DataFrame, path: Path) -> None:
    """Write a table of artists; names may hold quotes, commas and line breaks."""
    artists.to_csv(
        path,
        columns=list(COLUMNS),
        index=False,
        quoting=csv.QUOTE_NONNUMERIC,
        lineterminator="\n",
        encoding="utf-8",
    )


def read_artists(path: Path, remedy: str) -> pd.DataFrame:
    """Read a table that `write_artists` wrote.

    Raises
    ------
    DataError
        Missing, unreadable, other columns, no artist, or an artist in two rows.
    """
    try:
        artists = pd.read_csv(
            require(path, remedy), dtype=COLUMNS, keep_default_na=False, encoding="utf-8"
        )
    except ValueError as error:
        raise DataError(path, f"is not a table of artists ({error})", remedy=remedy) from None
    if list(artists.columns) != list(COLUMNS) or artists.empty:
        found = f"columns {', '.join(artists.columns)} in {len(artists)} rows"
        raise DataError(path, found, expected=", ".join(COLUMNS), remedy=remedy)
    if not artists["artist"].is_unique:
        raise DataError(path, "has an artist in two rows", remedy=remedy)
    return artists


def find_artist(artists: pd.DataFrame, wanted: str, place: Path) -> dict[str, str]:
    """The row of the artist of that id or name; case and accents do not matter."""
    by_id = artists[artists["artist"].isin([wanted, wanted.strip().lower()])]
    keys = artists["name"].map(normalise_name)
    found = by_id if len(by_id) else artists[keys == normalise_name(wanted)]
    if len(found) == 1:
        return {column: str(found[column].item()) for column in ("artist", "name")}
    if len(found) > 1:
        namesakes = ", ".join(f"{row.name} ({row.artist})" for row in found.itertuples(index=False))
        raise DataError(place, f"several artists '{wanted}': {namesakes}", remedy="give the id")
    names = dict(zip(keys, artists["name"], strict=True))
    near = ", ".join(f"'{names[each]}'" for each in nearest(normalise_name(wanted), names, n=3))
    raise DataError(
        place,
        f"no artist '{wanted}' among {len(artists)}",
        remedy=f"did you mean {near}?" if near else "see artists.csv there for the names",
    )

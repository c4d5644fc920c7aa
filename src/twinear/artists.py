"""Who is who: one identity per artist, however the name is spelt.

An artist is its MusicBrainz id (MBID) where one is known, else its normalised name, so that
"Beyoncé" and "BEYONCE", "The Beatles" and "Beatles", "Simon & Garfunkel" and "Simon and Garfunkel"
are one artist each. Two MBIDs are two artists, also when they share a name. Merged MBIDs are not
followed here.
"""

import csv
import re
import unicodedata
from collections import defaultdict
from collections.abc import Iterable
from pathlib import Path

import pandas as pd

from twinear.errors import DataError, nearest
from twinear.files import require

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
    letters = unicodedata.normalize("NFKD", unicodedata.normalize("NFKD", name).casefold())
    words = letters.translate(_LETTERS).split()
    while words and words[0] == "the":
        del words[0]
    return unicodedata.normalize("NFC", " ".join(words)) or " ".join(name.casefold().split())


def is_mbid(text: str) -> bool:
    """Whether `text` is a MusicBrainz id, in lower case."""
    return MBID.fullmatch(text) is not None


def artist_id(mbid: str, name: str) -> str:
    """Return the MBID in lower case if it is one, else the normalised name."""
    mbid = mbid.strip().lower()
    return mbid if is_mbid(mbid) else normalise_name(name)


def identify(spellings: Iterable[tuple[str, str]]) -> list[str]:
    """Say which artist each (MBID, name) of one source is.

    A spelling without MBID is the artist with an MBID that has the same normalised name, if
    there is exactly one.
    """
    known = [(mbid.strip().lower(), name) for mbid, name in spellings]
    if all(is_mbid(mbid) for mbid, _ in known):
        return [mbid for mbid, _ in known]  # without their names, which is most of the work
    pairs = [(mbid, normalise_name(name)) for mbid, name in known]
    owners: defaultdict[str, set[str]] = defaultdict(set)
    for mbid, name in pairs:
        if is_mbid(mbid):
            owners[name].add(mbid)
    owner = {name: mbids.pop() for name, mbids in owners.items() if len(mbids) == 1}
    return [mbid if is_mbid(mbid) else owner.get(name, name) for mbid, name in pairs]


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

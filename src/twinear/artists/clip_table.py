"""`clips.csv`: which audio file is of which artist.

The table is read here without touching the audio. An artist is matched by MusicBrainz id, else by
normalised name.
"""

import csv
from collections.abc import Iterable, Mapping
from pathlib import Path, PurePosixPath
from types import MappingProxyType
from typing import Any

import pandas as pd

from twinear.artists.identity import artist_id, normalise_name
from twinear.base.errors import DataError, nearest
from twinear.base.files import require

NONE_MERGED: Mapping[str, str] = MappingProxyType({})


def read_clip_table(path: Path, redirects: Mapping[str, str] = NONE_MERGED) -> pd.DataFrame:
    """Read `clips.csv`: which file is of which artist.

    Parameters
    ----------
    redirects
        Merged MusicBrainz ids and those that are meant.

    Returns
    -------
    DataFrame
        file (relative to the table's folder), artist (name), mbid and title ("" where unknown),
        id (`artist_id`), line (of the file). In the order of the table.

    Raises
    ------
    DataError
        Missing or empty file, a missing column, a row without file or artist, a file outside
        the folder.
    """
    require(path, "name every clip and its artist there; 'twinear import' writes it")
    rows = []
    try:
        with path.open(encoding="utf-8-sig", newline="") as file:
            reader = csv.DictReader(file)
            _require_columns(path, reader.fieldnames or [])
            for row in reader:
                place = f"{path}:{reader.line_num}"
                rows.append(_checked_row(row, place, reader.line_num, redirects))
    except (UnicodeDecodeError, csv.Error) as error:
        raise DataError(path, f"is not a CSV table in UTF-8 ({error})") from None
    if not rows:
        raise DataError(path, "names no clip", expected="one row for each clip")
    return pd.DataFrame(rows)


def _require_columns(path: Path, columns: Any) -> None:
    for column in ("file", "artist"):
        if column not in columns:
            near = nearest(column, columns)
            raise DataError(
                f"{path}:1",
                f"has no column '{column}'",
                expected="file, artist and, if known, mbid and title",
                remedy=f"rename '{near[0]}'?" if near else "add it",
            )


def _checked_row(
    row: dict[str | Any, str | Any], place: str, line: int, redirects: Mapping[str, str]
) -> dict[str, object]:
    if None in row:
        remedy = "put fields that hold commas in double quotes"
        raise DataError(place, "has more fields than the header", remedy=remedy)
    file, name, mbid, title = (
        (row.get(column) or "").strip() for column in ("file", "artist", "mbid", "title")
    )
    if not file or not name:
        raise DataError(place, f"has no {'artist' if file else 'file'}", remedy="fill it in")
    if PurePosixPath(file).is_absolute() or ".." in PurePosixPath(file).parts:
        raise DataError(place, f"file '{file}'", expected="a path under the table's folder")
    mbid = redirects.get(mbid.lower(), mbid)
    identity = artist_id(mbid, name)
    return {
        "file": file,
        "artist": name,
        "mbid": mbid.lower() if mbid.lower() == identity else "",
        "title": title,
        "id": identity,
        "line": line,
    }


def resolve(table: pd.DataFrame, artists: pd.DataFrame) -> pd.DataFrame:
    """Give each clip of the table the id and the name of its artist among `artists`.

    An artist is found by its MusicBrainz id, else by its normalised name, unless both sides have
    an id and they differ: those are namesakes. An artist that is not among `artists` stays, under
    its own id and the first name the table gives it.

    Parameters
    ----------
    table
        As `read_clip_table` gives it.
    artists
        artist, name, mbid; of several with one name the first is meant.

    Returns
    -------
    DataFrame
        file, artist (id), name, title, line.
    """
    own = table[table["mbid"] != ""]
    nameless = artists[artists["mbid"] == ""]  # known to the listens by name alone
    by_mbid = dict(zip(artists["mbid"], artists["artist"], strict=True))
    by_name = _first([*artists["name"], *own["artist"]], [*artists["artist"], *own["id"]])
    by_name_alone = _first(nameless["name"], nameless["artist"])

    def whose(row: Any) -> Any:
        known = by_name_alone if row.mbid else by_name
        found = by_mbid.get(row.mbid) if row.mbid else None
        return found or known.get(normalise_name(row.artist), row.id)

    ids = [whose(row) for row in table.itertuples()]
    names = dict(zip(reversed(ids), reversed(list(table["artist"])), strict=True))
    names |= dict(zip(artists["artist"], artists["name"], strict=True))
    resolved = table[["file", "title", "line"]].assign(artist=ids, name=[names[i] for i in ids])
    return resolved[["file", "artist", "name", "title", "line"]]


def _first(names: Iterable[str], ids: Iterable[str]) -> dict[str, str]:
    """Normalised name -> the first id that bears it."""
    found: dict[str, str] = {}
    for name, artist in zip(names, ids, strict=True):
        found.setdefault(normalise_name(name), artist)
    return found

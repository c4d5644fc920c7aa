"""`clips.csv`: the artist of every audio file.

The table is read without touching the audio. An artist is matched by MusicBrainz id, else by
normalised name.
"""

import csv
from collections.abc import Iterable, Mapping
from pathlib import Path, PurePosixPath
from types import MappingProxyType
from typing import Any

import pandas as pd

from twinear.artists.identity import artist_id, normalise_name, strip_featured
from twinear.base.errors import DataError, nearest
from twinear.base.files import require

NO_REDIRECTS: Mapping[str, str] = MappingProxyType({})


def read_clip_table(path: Path, redirects: Mapping[str, str] = NO_REDIRECTS) -> pd.DataFrame:
    """Read `clips.csv`.

    Parameters
    ----------
    redirects
        Merged MusicBrainz id -> current id.

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
            columns = reader.fieldnames or []
            for column in ("file", "artist"):
                if column not in columns:
                    near = nearest(column, columns)
                    found = f"has no column '{column}'"
                    expected = "file, artist and, if known, mbid and title"
                    remedy = f"rename '{near[0]}'?" if near else "add it"
                    raise DataError(f"{path}:1", found, expected=expected, remedy=remedy)
            for row in reader:
                rows.append(_parse_row(row, path, reader.line_num, redirects))
    except (UnicodeDecodeError, csv.Error) as error:
        raise DataError(path, f"is not a CSV table in UTF-8 ({error})") from None
    if not rows:
        raise DataError(path, "names no clip", expected="one row for each clip")
    return pd.DataFrame(rows)


def _parse_row(
    row: dict[str | Any, str | Any], path: Path, line: int, redirects: Mapping[str, str]
) -> dict[str, object]:
    place = f"{path}:{line}"
    if None in row:  # the key under which DictReader keeps surplus fields
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
    mbid = mbid.lower() if mbid.lower() == identity else ""
    return {
        "file": file,
        "artist": name if mbid else strip_featured(name),
        "mbid": mbid,
        "title": title,
        "id": identity,
        "line": line,
    }


def resolve(table: pd.DataFrame, artists: pd.DataFrame) -> pd.DataFrame:
    """Give each clip the id and the name of its artist among `artists`.

    An artist is found by its MusicBrainz id, else by its normalised name, unless both sides have
    an id and the ids differ: they are namesakes. An artist that is not among `artists` keeps its
    own id and the first name that the table gives it.

    Parameters
    ----------
    table
        From `read_clip_table`.
    artists
        artist, name, mbid; where several share a name, the name alone means the first.

    Returns
    -------
    DataFrame
        file, artist (id), name, title, line.
    """
    own = table[table["mbid"] != ""]
    without_mbid = artists[artists["mbid"] == ""]  # the listens know only their names
    by_mbid = dict(zip(artists["mbid"], artists["artist"], strict=True))
    by_name = _first_ids([*artists["name"], *own["artist"]], [*artists["artist"], *own["id"]])
    by_name_only = _first_ids(without_mbid["name"], without_mbid["artist"])
    ids = []
    for mbid, name, own_id in zip(table["mbid"], table["artist"], table["id"], strict=True):
        artist = by_mbid.get(mbid) if mbid else None
        candidates = by_name_only if mbid else by_name
        ids.append(artist or candidates.get(normalise_name(name), own_id))
    names = dict(zip(reversed(ids), reversed(list(table["artist"])), strict=True))
    names |= dict(zip(artists["artist"], artists["name"], strict=True))
    resolved = table[["file", "title", "line"]].assign(artist=ids, name=[names[i] for i in ids])
    return resolved[["file", "artist", "name", "title", "line"]]


def _first_ids(names: Iterable[str], ids: Iterable[str]) -> dict[str, str]:
    """Normalised name -> the first id with that name."""
    first: dict[str, str] = {}
    for name, artist in zip(names, ids, strict=True):
        first.setdefault(normalise_name(name), artist)
    return first

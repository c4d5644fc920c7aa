"""`clips.csv`: the artist of every audio file.

The table is read without touching the audio. An artist is matched by MusicBrainz id, else by
normalised name.
"""

from collections.abc import Iterable, Mapping
from contextlib import suppress
from pathlib import Path, PurePosixPath
from types import MappingProxyType

import pandas as pd

from twinear.artists.identity import artist_id, normalise_name, strip_featured
from twinear.base.encoding import decode_name
from twinear.base.errors import DataError
from twinear.base.table import Row, Table, read_table
from twinear.base.text import one_line

NO_REDIRECTS: Mapping[str, str] = MappingProxyType({})
COLUMNS = ("file", "artist", "mbid", "title", "source", "terms")  # in any case; others are kept
SOURCE = "source"  # as 'twinear fetch' calls the column
MAX_PART, MAX_PATH = 255, 4000  # bytes of a name and of a path, on all usual file systems
REMEDY = "name every clip and its artist there; 'twinear import' writes it"


def read_clip_table(
    path: Path,
    redirects: Mapping[str, str] = NO_REDIRECTS,
    *,
    outside: bool = False,
    source_column: str = "",
) -> pd.DataFrame:
    """Read `clips.csv`.

    Parameters
    ----------
    redirects
        Merged MusicBrainz id -> current id.
    outside
        See `read_clip_rows`.
    source_column
        The column that says where a clip comes from; "": none. `SOURCE` may be missing.

    Returns
    -------
    DataFrame
        file (relative to the table's folder), artist (name), mbid, title and source ("" where
        unknown), id (`artist_id`), line (of the file). In the order of the table.

    Raises
    ------
    DataError
        As `read_clip_rows`, or there is no such column.
    """
    table = read_clip_rows(path, outside=outside)
    if source_column not in ("", SOURCE, *table.columns):
        raise DataError(
            f"{path}:1",
            f"has no column '{source_column}'",
            expected=f"one of {', '.join(table.columns)}",
            remedy="correct clips.source_column",
        )
    sources = [row.values.get(source_column, "") for row in table.rows]
    return identify_clips(table.rows, redirects).assign(source=sources)


def read_clip_rows(path: Path, *, outside: bool = False) -> Table:
    """Read the rows of a `clips.csv` with all their columns.

    Parameters
    ----------
    outside
        Accept paths to anywhere, also those of a home (`~`): the table is of files to be copied.

    Raises
    ------
    DataError
        Missing or empty file, a missing column, a row without file or artist, a file outside
        the folder.
    """
    table = read_table(path, COLUMNS, REMEDY, ("file", "artist"))
    if not table.rows:
        raise DataError(path, "names no clip", expected="one row for each clip")
    for row in table.rows:
        place, file = f"{path}:{row.line}", row.values["file"]
        if not file or not row.values["artist"]:
            raise DataError(place, f"has no {'artist' if file else 'file'}", remedy="fill it in")
        parts = [len(part.encode(errors="replace")) for part in file.split("/")]
        if "\0" in file or max(parts) > MAX_PART or sum(parts) > MAX_PATH:
            found = f"file '{file[:40]}…' is longer than a path can be"
            raise DataError(place, found, remedy="correct the path")
        # a table of Windows; elsewhere a backslash may be part of a name
        slashed = file.replace("\\", "/")
        if slashed != file and (path.parent / slashed).exists():
            row.values["file"] = file = slashed
        inside = PurePosixPath(file)
        if not outside and (inside.is_absolute() or ".." in inside.parts):
            expected = "a path under the table's folder"
            raise DataError(place, f"file '{file}'", expected=expected)
    return table


def clip_path(table: Path, file: str) -> Path:
    """Return where a file is that a table names: under the table's folder unless it says more.

    Its name may be stored in another way than in the table: with accents apart (as Macs do), or in
    another encoding.
    """
    path = Path(file)
    if file.startswith("~"):
        with suppress(RuntimeError):  # no such home: a name that begins so
            path = path.expanduser()
    return _find_by_text(table.parent / path)


def _find_by_text(path: Path) -> Path:
    if path.exists() or path == path.parent:
        return path
    parent = _find_by_text(path.parent)
    if parent.is_dir():
        wanted = one_line(path.name)
        for entry in sorted(parent.iterdir()):
            if one_line(decode_name(entry.name)) == wanted:
                return entry
    return parent / path.name


def identify_clips(
    rows: Iterable[Row], redirects: Mapping[str, str] = NO_REDIRECTS
) -> pd.DataFrame:
    """Identify the artist of every row; returns the table of `read_clip_table`, but for source."""
    return pd.DataFrame([_identified(row, redirects) for row in rows])


def _identified(row: Row, redirects: Mapping[str, str]) -> dict[str, object]:
    values = row.values
    name, mbid = values["artist"], values.get("mbid", "")
    mbid = redirects.get(mbid.lower(), mbid)
    identity = artist_id(mbid, name)
    mbid = mbid.lower() if mbid.lower() == identity else ""
    return {
        "file": values["file"],
        "artist": name if mbid else strip_featured(name),
        "mbid": mbid,
        "title": values.get("title", ""),
        "id": identity,
        "line": row.line,
    }


def resolve(table: pd.DataFrame, artists: pd.DataFrame) -> pd.DataFrame:
    """Give each clip the id and the name of its artist among `artists`.

    An artist is found by its MusicBrainz id, else by its normalised name, unless both sides have
    an id and the ids differ: they are namesakes. An artist that is not among `artists` keeps its
    own id and the first name that the table gives it.

    Parameters
    ----------
    table
        From `read_clip_table`, or from `identify_clips`: then no source is known.
    artists
        artist, name, mbid; where several share a name, the name alone means the first.

    Returns
    -------
    DataFrame
        file, artist (id), name, title, source, line.
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
    resolved = table.assign(
        artist=ids, name=[names[i] for i in ids], source=table.get("source", "")
    )
    return resolved[["file", "artist", "name", "title", "source", "line"]]


def _first_ids(names: Iterable[str], ids: Iterable[str]) -> dict[str, str]:
    """Normalised name -> the first id with that name."""
    first: dict[str, str] = {}
    for name, artist in zip(names, ids, strict=True):
        first.setdefault(normalise_name(name), artist)
    return first

"""Where each clip came from: `clips.csv`.

Fetching adds to `clips.csv` and never takes away: rows that came otherwise stay, with all their
columns, before those that were fetched.
"""

import csv
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from urllib.parse import urlsplit, urlunsplit

from twinear.artists.clip_table import read_clip_table
from twinear.artists.identity import artist_id
from twinear.base.files import replacing


@dataclass(frozen=True, kw_only=True)
class Clip:
    """A row of `clips.csv`.

    Parameters
    ----------
    file
        Under the data folder, named by its content.
    artist, mbid
        As the listens know the artist.
    source_artist, source_id
        The source's ids of the artist and of the recording.
    url
        Without what follows "?", which may be a signature.
    fetched
        UTC, ISO 8601.
    terms
        What may be done with it.
    confidence, why
        How sure it is that it is this artist's, 0 to 1.
    """

    file: str
    artist: str
    mbid: str
    title: str
    source: str
    source_artist: str
    source_id: str
    url: str
    fetched: str
    bytes: int
    sha256: str
    terms: str
    confidence: float
    why: str


COLUMNS = tuple(field.name for field in fields(Clip))


def bare_url(url: str) -> str:
    """An address without query, fragment, user and password; a path as it is."""
    parts = urlsplit(url)
    if parts.scheme not in ("http", "https"):
        return url
    return urlunsplit((parts.scheme, parts.netloc.rpartition("@")[2], parts.path, "", ""))


def read_rows(path: Path) -> list[dict[str, str]]:
    """Every row of a `clips.csv` with all its columns; none if there is no such file."""
    if not path.exists():
        return []
    read_clip_table(path)
    with path.open(encoding="utf-8-sig", newline="") as file:
        rows = list(csv.DictReader(file))
    return [{column: value or "" for column, value in row.items()} for row in rows]


def write_clips(clips: Iterable[Clip], path: Path) -> None:
    """Put the clips behind the rows that are there already; those of before are replaced."""
    fresh = [{name: str(value) for name, value in asdict(clip).items()} for clip in clips]
    named = {_key(row) for row in fresh}
    rows = [row for row in read_rows(path) if _key(row) not in named] + fresh
    if rows:
        _write(path, list(dict.fromkeys([*COLUMNS, *(name for row in rows for name in row)])), rows)


def _key(row: Mapping[str, str]) -> tuple[str, str]:
    return row["file"], artist_id(row.get("mbid", ""), row["artist"])


def _write(path: Path, columns: list[str], rows: Iterable[Mapping[str, str]]) -> None:
    with replacing(path) as temporary, temporary.open("w", encoding="utf-8", newline="") as file:
        writer = csv.DictWriter(file, columns, restval="", lineterminator="\n")
        writer.writeheader()
        writer.writerows(rows)

"""Where each clip came from: `clips.csv`.

Fetching adds rows to `clips.csv` and removes none: rows that were not fetched stay, with all their
columns, before those that were.
"""

import csv
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from urllib.parse import urlsplit, urlunsplit

from twinear.artists.clip_table import read_clip_rows
from twinear.artists.identity import artist_id
from twinear.base.files import replacing


@dataclass(frozen=True, kw_only=True)
class ClipRow:
    """A row of `clips.csv`."""

    file: str  # under the data folder, named by its content
    artist: str  # artist and MBID as the listens know them
    mbid: str
    title: str
    source: str
    source_artist: str  # the source's id of the artist
    source_id: str  # the source's id of the recording
    url: str  # without the query, which may be a signature
    fetched: str  # UTC, ISO 8601
    bytes: int
    sha256: str
    terms: str  # what may be done with it
    confidence: float  # how sure it is that the clip is by this artist, 0 to 1
    why: str  # the reason


COLUMNS = tuple(field.name for field in fields(ClipRow))


def bare_url(url: str) -> str:
    """A URL without query, fragment, user and password; a path unchanged.

    Examples
    --------
    >>> bare_url("https://user:word@example.org/a.mp3?token=secret")
    'https://example.org/a.mp3'
    >>> bare_url("Air/One.mp3")
    'Air/One.mp3'
    """
    parts = urlsplit(url)
    if parts.scheme not in ("http", "https"):
        return url
    return urlunsplit((parts.scheme, parts.netloc.rpartition("@")[2], parts.path, "", ""))


def read_rows(path: Path) -> list[dict[str, str]]:
    """Every row of a `clips.csv` with all its columns; no rows if there is no such file."""
    if not path.exists():
        return []
    return [row.values for row in read_clip_rows(path).rows]


def write_clips(clips: Iterable[ClipRow], path: Path) -> None:
    """Append clips to the rows that are there, replacing those of the same file and artist."""
    new = [{name: str(value) for name, value in asdict(clip).items()} for clip in clips]
    replaced = {_key(row) for row in new}
    rows = [row for row in read_rows(path) if _key(row) not in replaced] + new
    if rows:
        with replacing(path) as temporary:
            write_rows(rows, temporary, COLUMNS)


def write_rows(rows: Sequence[Mapping[str, str]], path: Path, first_columns: Sequence[str]) -> None:
    """Write a CSV table with `first_columns`, then every further column of a row."""
    columns = list(dict.fromkeys([*first_columns, *(column for row in rows for column in row)]))
    with path.open("w", encoding="utf-8", newline="") as file:
        writer = csv.DictWriter(file, columns, restval="", lineterminator="\n")
        writer.writeheader()
        for row in rows:  # a row is one line of the file
            writer.writerow({key: re.sub(r"[\r\n]+", " ", value) for key, value in row.items()})


def _key(row: Mapping[str, str]) -> tuple[str, str]:
    return row["file"], artist_id(row.get("mbid", ""), row["artist"])

"""A table of files and URLs as a source: a CSV with file, artist and optional further columns.

`file` is a path under the table's folder, an absolute path, or a URL (http, https). Further
columns: mbid and title as in clips.csv, and terms, which say what may be done with the audio. Each
file is read or downloaded whole; of long recordings the representative excerpt is kept.
"""

import hashlib
from pathlib import Path
from tempfile import TemporaryDirectory

from twinear.acquisition.music_folder import Credit
from twinear.acquisition.network.client import Client
from twinear.acquisition.network.errors import (
    InvalidContentError,
    NotFoundError,
    RequestRefusedError,
)
from twinear.acquisition.previews.folder import OWN, write_excerpt
from twinear.acquisition.previews.own_recordings import OwnRecordings
from twinear.acquisition.previews.source import Candidate, Preview, RequestedArtist
from twinear.artists.clip_table import clip_path, read_clip_rows, read_clip_table
from twinear.base.errors import DataError


class TableSource:
    """The clips of a table; the client is for URLs."""

    name = "table"
    terms = "as the table says"

    def __init__(self, table: Path, client: Client | None = None) -> None:
        self._table = table
        self._client = client
        rows = read_clip_table(table, outside=True)
        terms = [row.values.get("terms", "") for row in read_clip_rows(table, outside=True).rows]
        self._rows = OwnRecordings[dict[str, str]]("the table")
        for row, row_terms in zip(rows.to_dict("records"), terms, strict=True):
            if is_url(row["file"]) and client is None:
                raise DataError(
                    f"{table}:{row['line']}",
                    "names a URL",
                    remedy="the host requires a contact: give --contact or set TWINEAR_CONTACT",
                )
            default = "not stated" if is_url(row["file"]) else OWN
            known = {name: str(row[name]) for name in ("file", "title")}
            credit = Credit(name=row["artist"], mbid=row["mbid"])
            self._rows.add({**known, "terms": row_terms or default}, [credit])

    def find(self, artist: RequestedArtist) -> Candidate | None:
        """Find the artist by the MusicBrainz id, else by name where ids do not differ."""
        return self._rows.find(artist)

    def previews(self, candidate: Candidate, limit: int) -> list[Preview]:
        """List the artist's clips in the order of the table."""
        return [
            Preview(
                source_id=_source_id(row["file"]),
                title=row["title"],
                url=row["file"],
                duration_seconds=0.0,
                terms=row["terms"],
            )
            for row in self._rows.recordings(candidate)[:limit]
        ]

    def download(self, preview: Preview, to: Path) -> None:
        """Write the clip, or of a long recording the representative excerpt, to a file."""
        if not is_url(preview.url):
            path = clip_path(self._table, preview.url)
            if not path.is_file():
                raise NotFoundError(path, "is missing")
            write_excerpt(path, to)
            return
        if self._client is None:
            raise RequestRefusedError(preview.source_id, "is a URL, which needs a client")
        with TemporaryDirectory(dir=to.parent, prefix=".", suffix=".part") as folder:
            whole = Path(folder) / "whole"
            self._client.download(preview.url, whole)
            try:
                write_excerpt(whole, to)
            except InvalidContentError:
                raise InvalidContentError(preview.source_id, "is not audio") from None


def is_url(file: str) -> bool:
    """Whether the table's `file` is a URL and not a path."""
    return file.lower().startswith(("http://", "https://"))


def _source_id(file: str) -> str:
    """What identifies a row's audio: a URL may hold secrets, so only its hash is kept."""
    return hashlib.sha256(file.encode()).hexdigest()[:16] if is_url(file) else file

"""A table of files and URLs as a source: a CSV with file, artist and optional further columns.

`file` is a path under the table's folder, or a URL (http, https). Further columns: mbid and title
as in clips.csv, and terms, which say what may be done with the audio. Each file is read or
downloaded whole; of long recordings the representative excerpt is kept.
"""

import csv
import hashlib
from collections import defaultdict
from pathlib import Path
from tempfile import TemporaryDirectory

from twinear.acquisition.network.client import Client
from twinear.acquisition.network.errors import (
    InvalidContentError,
    NotFoundError,
    RequestRefusedError,
)
from twinear.acquisition.previews.folder import OWN, write_excerpt
from twinear.acquisition.previews.source import Candidate, Preview, RequestedArtist
from twinear.artists.clip_table import read_clip_table
from twinear.artists.identity import normalise_name
from twinear.base.errors import DataError


class TableSource:
    """The clips of a table; the client is for URLs."""

    name = "table"
    terms = "as the table says"

    def __init__(self, table: Path, client: Client | None = None) -> None:
        self._folder = table.parent
        self._client = client
        rows = read_clip_table(table)
        with table.open(encoding="utf-8-sig", newline="") as file:
            terms = [(row.get("terms") or "").strip() for row in csv.DictReader(file)]
        # MusicBrainz id or normalised name -> rows
        self._rows: defaultdict[str, list[dict[str, str]]] = defaultdict(list)
        for row, row_terms in zip(rows.to_dict("records"), terms, strict=True):
            if is_url(row["file"]) and client is None:
                raise DataError(
                    f"{table}:{row['line']}",
                    "names a URL",
                    remedy="the host requires a contact: give --contact or set TWINEAR_CONTACT",
                )
            default = "not stated" if is_url(row["file"]) else OWN
            known = {name: str(row[name]) for name in ("file", "artist", "mbid", "title")}
            for key in {row["mbid"], normalise_name(row["artist"])} - {""}:
                self._rows[key].append({**known, "terms": row_terms or default})

    def find(self, artist: RequestedArtist) -> Candidate | None:
        """Find the artist by the MusicBrainz id, else by name where ids do not differ."""
        for mbid in artist.mbid, artist.ids.get("musicbrainz", ""):
            if mbid in self._rows:
                return self._candidate(mbid, 1.0, "the table has the MusicBrainz id")
        name = normalise_name(artist.name)
        mbids = {row["mbid"] for row in self._rows.get(name, [])}
        if not mbids or (artist.mbid and "" not in mbids):
            return None
        if len(mbids) > 1:
            return self._candidate(name, 0.5, f"{len(mbids)} artists of that name")
        return self._candidate(name, 0.9, "the table has the name")

    def _candidate(self, key: str, confidence: float, why: str) -> Candidate:
        name = self._rows[key][0]["artist"]
        return Candidate(artist_id=key, name=name, confidence=confidence, why=why)

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
            for row in self._rows[candidate.artist_id][:limit]
        ]

    def download(self, preview: Preview, to: Path) -> None:
        """Write the clip, or of a long recording the representative excerpt, to a file."""
        if not is_url(preview.url):
            path = self._folder / preview.url
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

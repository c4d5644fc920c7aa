"""A table of files and addresses as a source: a CSV with file, artist and, if known, more.

`file` is a path under the table's folder, or an address (http, https). Further columns: mbid and
title as in clips.csv, and terms, which say what may be done with the audio. Whatever it names is
fetched whole, and of long recordings the representative window is kept.
"""

import csv
import hashlib
from collections import defaultdict
from pathlib import Path
from tempfile import TemporaryDirectory

import pandas as pd

from twinear.acquisition.network.client import Client
from twinear.acquisition.network.errors import Malformed, Refused, Unknown
from twinear.acquisition.previews.folder import OWN, write_excerpt
from twinear.acquisition.previews.source import Candidate, Preview, Wanted
from twinear.artists.clip_table import read_clip_table
from twinear.artists.identity import normalise_name
from twinear.base.errors import DataError


class TableSource:
    """The clips of a table.

    Parameters
    ----------
    client
        For addresses; None if there are none to be asked.
    """

    name = "table"
    terms = "as the table says"

    def __init__(self, table: Path, client: Client | None = None) -> None:
        self._folder = table.parent
        self._client = client
        rows = read_clip_table(table)
        self._rows: defaultdict[str, list[dict[str, str]]] = defaultdict(list)
        for row, terms in zip(rows.to_dict("records"), _terms(table, rows), strict=True):
            if is_address(row["file"]) and client is None:
                raise DataError(
                    f"{table}:{row['line']}",
                    "names an address",
                    remedy="say whom to write to: give --contact or set TWINEAR_CONTACT",
                )
            keys = {row["mbid"], normalise_name(row["artist"])} - {""}
            for key in keys:
                known = {name: str(row[name]) for name in ("file", "artist", "mbid", "title")}
                self._rows[key].append({**known, "terms": terms})

    def find(self, artist: Wanted) -> Candidate | None:
        """Find the artist by the MusicBrainz id, else by a name whose id is not another."""
        for mbid in artist.mbid, artist.ids.get("musicbrainz", ""):
            if mbid in self._rows:
                return self._candidate(mbid, 1.0, "the table has the MusicBrainz id")
        name = normalise_name(artist.name)
        of_name = {row["mbid"] for row in self._rows.get(name, [])}
        if not of_name or (artist.mbid and "" not in of_name):
            return None
        if len(of_name) > 1:
            return self._candidate(name, 0.5, f"{len(of_name)} artists of that name")
        return self._candidate(name, 0.9, "the table has the name")

    def _candidate(self, key: str, confidence: float, why: str) -> Candidate:
        rows = self._rows[key]
        return Candidate(
            artist_id=key,
            name=rows[0]["artist"],
            source=self.name,
            popularity=len(rows),
            confidence=confidence,
            why=why,
        )

    def previews(self, candidate: Candidate, limit: int) -> list[Preview]:
        """List the artist's clips in the order of the table."""
        return [
            Preview(
                source=self.name,
                source_artist=candidate.artist_id,
                source_id=_key(row["file"]),
                title=row["title"],
                url=row["file"],
                duration_seconds=0.0,
                terms=row["terms"],
            )
            for row in self._rows[candidate.artist_id][:limit]
        ]

    def download(self, preview: Preview, to: Path) -> None:
        """Put the clip, or of a long recording the representative window, into a file."""
        if not is_address(preview.url):
            path = self._folder / preview.url
            if not path.is_file():
                raise Unknown(path, "is missing")
            write_excerpt(path, to)
            return
        if self._client is None:
            raise Refused(preview.source_id, "is an address, and there is nobody to ask it")
        with TemporaryDirectory(dir=to.parent, prefix=".", suffix=".part") as folder:
            whole = Path(folder) / "whole"
            self._client.download(preview.url, whole)
            try:
                write_excerpt(whole, to)
            except Malformed:
                raise Malformed(preview.source_id, "is not audio") from None


def is_address(file: str) -> bool:
    """Whether the table's `file` is an address and no path."""
    return file.lower().startswith(("http://", "https://"))


def _key(file: str) -> str:
    """What names a row's audio: an address may hold secrets, which are not to be kept."""
    return hashlib.sha256(file.encode()).hexdigest()[:16] if is_address(file) else file


def _terms(table: Path, rows: pd.DataFrame) -> list[str]:
    """What the table says may be done with each row's audio."""
    with table.open(encoding="utf-8-sig", newline="") as file:
        said = [(row.get("terms") or "").strip() for row in csv.DictReader(file)]
    plain = ("not stated" if is_address(file) else OWN for file in rows["file"])
    return [terms or otherwise for terms, otherwise in zip(said, plain, strict=True)]

"""Small logs of single listens, in the format of Last.fm-1K."""

from collections.abc import Iterable
from datetime import UTC, datetime
from pathlib import Path

from tests.support.dumps import mbid
from twinear.listens.readers.formats import PLAYS

START = 1_200_000_000  # 10 January 2008

Scrobble = tuple[str, float, int]  # listener, minutes after `START`, number of the artist


def scrobble_line(listener: str, minutes: float, artist: int) -> str:
    """One line; artist 0 has no MusicBrainz id."""
    time = datetime.fromtimestamp(START + round(60 * minutes), UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
    number = mbid(artist) if artist else ""
    return f"{listener}\t{time}\t{number}\tArtist {artist}\t\tA recording\n"


def write_scrobbles(folder: Path, scrobbles: Iterable[Scrobble]) -> Path:
    """Write a log; returns the folder."""
    folder.mkdir(parents=True, exist_ok=True)
    text = "".join(scrobble_line(*scrobble) for scrobble in scrobbles)
    (folder / PLAYS["lastfm_1k"]).write_text(text, encoding="utf-8")
    return folder

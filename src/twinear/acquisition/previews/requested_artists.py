"""Of whom clips are wanted: the most listened artists of the listens, or a list."""

import csv
from pathlib import Path

from twinear.acquisition.previews.source import Wanted
from twinear.artists.identity import artist_id, is_mbid, read_artists
from twinear.base.errors import DataError, TwinearError
from twinear.base.files import require

NAME = ("name", "artist")  # columns, the first that is there
REMEDY = "write one name a line, or a CSV with the columns artist and mbid"


def top_artists(listens: Path, top: int) -> list[Wanted]:
    """The `top` artists with the most listeners, of a folder that the stage listens wrote."""
    artists = read_artists(listens / "artists.csv", "run 'dvc repro listens'").head(top)
    columns = (artists[column] for column in ("artist", "name", "mbid"))
    return [
        Wanted(artist=artist, name=name, mbid=mbid)
        for artist, name, mbid in zip(*columns, strict=True)
    ]


def read_wanted(path: Path) -> list[Wanted]:
    """The artists of a file, each once.

    Parameters
    ----------
    path
        A CSV with the column artist (or name) and, if known, mbid; or one name or MBID a line.

    Raises
    ------
    DataError
        Missing, empty, not UTF-8, or a row without a name.
    """
    require(path, REMEDY)
    try:
        with path.open(encoding="utf-8-sig", newline="") as file:
            rows = list(csv.reader(file))
    except (UnicodeDecodeError, csv.Error) as error:
        raise DataError(path, f"is not text in UTF-8 ({error})", remedy=REMEDY) from None
    header = [field.strip().lower() for field in rows[0]] if rows else []
    name = next((header.index(each) for each in NAME if each in header), None)
    if name is None:
        lines = path.read_text(encoding="utf-8-sig").splitlines()
        found = [_plain(line.strip()) for line in lines if line.strip()]
    else:
        mbid = header.index("mbid") if "mbid" in header else None
        found = [
            _of_row(row, name, mbid, f"{path}:{line}")
            for line, row in enumerate(rows[1:], 2)
            if any(field.strip() for field in row)
        ]
    if not found:
        raise DataError(path, "names no artist", remedy=REMEDY)
    first: dict[str, Wanted] = {}
    for wanted in found:
        first.setdefault(wanted.artist, wanted)
    return list(first.values())


def _plain(line: str) -> Wanted:
    mbid = line.lower() if is_mbid(line.lower()) else ""
    return Wanted(artist=artist_id(mbid, line), name="" if mbid else line, mbid=mbid)


def _of_row(row: list[str], name: int, mbid: int | None, place: str) -> Wanted:
    fields = [row[at].strip() if at is not None and at < len(row) else "" for at in (name, mbid)]
    known = fields[1].lower() if is_mbid(fields[1].lower()) else ""
    if not fields[0] and not known:
        raise DataError(place, "has no artist", remedy="fill it in or take the line out")
    return Wanted(artist=artist_id(known, fields[0]), name=fields[0], mbid=known)


def choose_wanted(listens: Path, top: int | None, artists: Path | None) -> list[Wanted]:
    """The artists that the command line asks for, by exactly one of the two ways."""
    if (top is None) == (artists is None):
        raise TwinearError("twinear fetch clips", "needs one of --top and --artists")
    return read_wanted(artists) if artists else top_artists(listens, top or 0)

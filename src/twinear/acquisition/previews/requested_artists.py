"""Which artists clips are requested of: those with the most listeners, or a list."""

import csv
from pathlib import Path

from twinear.acquisition.previews.source import RequestedArtist
from twinear.artists.identity import artist_id, is_mbid, read_artists, strip_featured
from twinear.base.errors import DataError, TwinearError
from twinear.base.files import require

NAME_COLUMNS = ("name", "artist")  # the first that is there
REMEDY = "write one name a line, or a CSV with the columns artist and mbid"


def choose_requested_artists(
    listens: Path, top: int | None, artists: Path | None
) -> list[RequestedArtist]:
    """The artists that the command line names, by exactly one of the two options."""
    if (top is None) == (artists is None):
        raise TwinearError("twinear fetch clips", "needs one of --top and --artists")
    return read_requested_artists(artists) if artists else top_artists(listens, top or 0)


def top_artists(listens: Path, top: int) -> list[RequestedArtist]:
    """The `top` artists with the most listeners, from the folder of the stage listens."""
    artists = read_artists(listens / "artists.csv", "run 'dvc repro listens'").head(top)
    columns = (artists[column] for column in ("artist", "name", "mbid"))
    return [
        RequestedArtist(artist=artist, name=name, mbid=mbid)
        for artist, name, mbid in zip(*columns, strict=True)
    ]


def read_requested_artists(path: Path) -> list[RequestedArtist]:
    """The artists of a file, each once.

    The file is a CSV with the column artist (or name) and optionally mbid; or it has one name or
    MBID a line. `DataError` if it is missing, empty, not UTF-8, or has a row without a name.
    """
    require(path, REMEDY)
    try:
        with path.open(encoding="utf-8-sig", newline="") as file:
            rows = list(csv.reader(file))
    except (UnicodeDecodeError, csv.Error) as error:
        raise DataError(path, f"is not text in UTF-8 ({error})", remedy=REMEDY) from None
    header = [field.strip().lower() for field in rows[0]] if rows else []
    name_column = next((column for column in NAME_COLUMNS if column in header), None)
    artists = []
    if name_column is None:
        for line in path.read_text(encoding="utf-8-sig").splitlines():
            if word := line.strip():
                mbid = word.lower() if is_mbid(word.lower()) else ""
                artists.append(_artist(name="" if mbid else word, mbid=mbid))
    else:
        for n, fields in enumerate(rows[1:], 2):
            row = dict(zip(header, (field.strip() for field in fields), strict=False))
            if not any(row.values()):
                continue
            name, mbid = row.get(name_column, ""), row.get("mbid", "").lower()
            if not is_mbid(mbid):
                mbid = ""
            if not name and not mbid:
                remedy = "fill it in or remove the line"
                raise DataError(f"{path}:{n}", "has no artist", remedy=remedy)
            artists.append(_artist(name=name, mbid=mbid))
    if not artists:
        raise DataError(path, "names no artist", remedy=REMEDY)
    unique: dict[str, RequestedArtist] = {}
    for artist in artists:
        unique.setdefault(artist.artist, artist)
    return list(unique.values())


def _artist(name: str, mbid: str) -> RequestedArtist:
    main = name if mbid else strip_featured(name)
    return RequestedArtist(artist=artist_id(mbid, name), name=main, mbid=mbid)

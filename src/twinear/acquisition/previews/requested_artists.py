"""Which artists clips are requested of: those with the most listeners, or a list."""

from pathlib import Path

from twinear.acquisition.previews.source import RequestedArtist
from twinear.artists.identity import artist_id, is_mbid, read_artists, strip_featured
from twinear.base.delimited import find_separator, split_line
from twinear.base.errors import DataError, TwinearError
from twinear.base.table import read_lines, read_table

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

    The file is a table with the column artist (or name) and optionally mbid; or it has one name or
    MBID a line. `DataError` if it is missing, empty, damaged, or has a row without a name.
    """
    lines = read_lines(path, REMEDY).lines
    header = lines[0][1] if lines else ""
    fields = [field.strip().lower() for field in split_line(header, find_separator(header)) or ()]
    name_column = next((column for column in NAME_COLUMNS if column in fields), None)
    artists = []
    if name_column is None:
        for _, line in lines:
            word = line.strip()
            mbid = word.lower() if is_mbid(word.lower()) else ""
            artists.append(_artist(name="" if mbid else word, mbid=mbid))
    else:
        for row in read_table(path, (*NAME_COLUMNS, "mbid"), REMEDY).rows:
            name, mbid = row.values[name_column], row.values.get("mbid", "").lower()
            if not is_mbid(mbid):
                mbid = ""
            if not name and not mbid:
                remedy = "fill it in or remove the line"
                raise DataError(f"{path}:{row.line}", "has no artist", remedy=remedy)
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

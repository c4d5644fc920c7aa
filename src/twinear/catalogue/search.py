"""An artist's neighbours, looked up in a written catalogue.

Neither the scores nor the network are loaded.
"""

from dataclasses import dataclass
from pathlib import Path

from twinear.artists.identity import find_artist
from twinear.catalogue.catalogue import read_artists, read_neighbours


@dataclass(frozen=True, kw_only=True)
class SimilarArtist:
    """A neighbour: its rank from 1, its id and name, its score in (0, 1)."""

    rank: int
    artist: str
    name: str
    score: float


@dataclass(frozen=True, kw_only=True)
class ArtistNeighbours:
    """An artist (id and name) and those that sound most like it, best first."""

    artist: str
    name: str
    similar: list[SimilarArtist]


def find_neighbours(folder: Path, artist: str, top: int) -> ArtistNeighbours:
    """Find the `top` neighbours of an artist given by id or name.

    Raises
    ------
    DataError
        No such artist; the message names the nearest.
    """
    artists = read_artists(folder)
    found = find_artist(artists, artist, folder)
    table = read_neighbours(folder, filters=[("artist", "==", found["artist"])]).head(top)
    columns = (table[name].tolist() for name in ("rank", "neighbour", "name", "score"))
    similar = [
        SimilarArtist(rank=rank, artist=neighbour, name=name, score=score)
        for rank, neighbour, name, score in zip(*columns, strict=True)
    ]
    return ArtistNeighbours(artist=found["artist"], name=found["name"], similar=similar)

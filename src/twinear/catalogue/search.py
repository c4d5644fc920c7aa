"""An artist's neighbours, looked up in a written catalogue.

Neither the scores nor the network are loaded.
"""

from dataclasses import dataclass
from pathlib import Path

import pandas as pd

from twinear.artists.identity import find_artist
from twinear.catalogue.catalogue import read_artists, read_neighbours


@dataclass(frozen=True, kw_only=True, eq=False)
class Neighbours:
    """An artist and those that sound most like it: `rank`, `neighbour` (id), `name`, `score`."""

    artist: str
    name: str
    table: pd.DataFrame


def find_neighbours(folder: Path, artist: str, top: int) -> Neighbours:
    """The `top` neighbours of an artist given by id or name, best first.

    Raises
    ------
    DataError
        No such artist; the message names the nearest.
    """
    artists = read_artists(folder)
    wanted = find_artist(artists, artist, folder)
    table = read_neighbours(folder, filters=[("artist", "==", wanted["artist"])])
    table = table.head(top).drop(columns="artist").reset_index(drop=True)
    return Neighbours(artist=wanted["artist"], name=wanted["name"], table=table)

"""A library beside a planted catalogue: files that nobody opens, their embeddings in a cache."""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd

from tests.support.planted_catalogue import planted, unit_rows, written
from tests.support.scorers import small_scorer
from twinear.base.files import sha256
from twinear.catalogue.catalogue import SCORER
from twinear.recommendation.library_cache import EncodedRecording, FileState, LibraryCache
from twinear.recommendation.library_table import LibraryItem, write_library_table

N = 40  # artists of the catalogue
NAMES = ("Sigur Rós", "Earth, Wind & Fire", 'The <b>"Beat"', "Artist\u202e 3")
NEW_MBID = "ffffffff-0000-4000-8000-000000000000"


def mbid(row: int) -> str:
    return f"{row:08x}-0000-4000-8000-000000000000"


@dataclass(frozen=True, kw_only=True)
class PlantedLibrary:
    """A project's folder.

    Attributes
    ----------
    items
        Two recordings of each of ten artists of the catalogue, the first four and six others; of
        "Artist 35", whom the catalogue knows by name alone, and of two whom it does not know.
    """

    folder: Path
    items: list[LibraryItem]

    @property
    def catalogue(self) -> Path:
        return self.folder / "artifacts/catalogue"

    @property
    def table(self) -> Path:
        return self.folder / "artifacts/library.csv"

    @property
    def cache(self) -> Path:
        return self.folder / "artifacts/library.sqlite"


def write_planted_library(folder: Path) -> PlantedLibrary:
    """Write a catalogue, of which the last ten artists have no MBIDs, and a library."""
    ids = [mbid(row) if row < N - 10 else f"artist {row}" for row in range(N)]
    names = [*NAMES, *(f"Artist {row}" for row in range(len(NAMES), N))]
    some, scorer = planted(N, 25), small_scorer()
    (folder / "artifacts").mkdir(parents=True)
    table = pd.DataFrame({"artist": ids, "name": names, "listeners": range(N)})
    catalogue = written(folder / "artifacts/catalogue", table, some, scorer=scorer)
    known = [(row, names[row], "") for row in (*range(4), *range(10, 16))]
    new = [(-1, "Nobody & Söhne", NEW_MBID), (-1, "Somebody", "")]
    rng = np.random.default_rng(0)
    items, embeddings = list[LibraryItem](), []
    for row, name, artist_mbid in [*known, (35, "Artist 35", mbid(35)), *new]:
        clips = some.artists.select([max(row, 0)]).embeddings.mean(axis=0)
        for nth in (1, 2):
            file = folder / f"music/{len(items):02}.flac"
            file.parent.mkdir(exist_ok=True)
            file.write_bytes(b"not audio")
            items.append(
                LibraryItem(
                    item_id=f"s-{len(items)}",
                    file=file,
                    artist=name,
                    artist_id=f"ar-{len(items) // 2}",
                    mbid=artist_mbid,
                    title=f"Title {nth} <&> of {name}",
                    album="" if nth == 2 else "Album",
                    seconds=180.4,
                )
            )
            embeddings.append(clips + 0.3 * rng.normal(size=len(clips)))
    found = PlantedLibrary(folder=folder, items=items)
    write_library_table(items, found.table)
    scorer_sha256 = sha256(catalogue / SCORER)
    with LibraryCache.open(found.cache, scorer_sha256, scorer.units) as cache:
        for item, embedding in zip(items, unit_rows(np.array(embeddings)), strict=True):
            recording = EncodedRecording(seconds=180.4, sha256=item.item_id, embedding=embedding)
            cache.write(FileState.of(item.file), recording)
    return found

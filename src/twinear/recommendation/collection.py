"""A catalogue and the artists added to it, as one."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from twinear.base.errors import DataError
from twinear.base.files import sha256
from twinear.catalogue.catalogue import SCORER, Catalogue
from twinear.catalogue.encoded import EncodedArtists
from twinear.catalogue.lookup import ArtistRecord
from twinear.catalogue.scoring import ScoreParts

if TYPE_CHECKING:
    from twinear.model.scorer import Scorer


@dataclass(frozen=True, kw_only=True, eq=False)
class Collection:
    """All artists that can be asked about."""

    catalogue: Catalogue

    @classmethod
    def open(cls, folder: Path) -> "Collection":
        """Open a catalogue's folder, and the artists added beside it.

        Raises
        ------
        DataError
            Missing, damaged, half-written, or of another layout.
        """
        return cls(catalogue=Catalogue.read(folder))

    def __len__(self) -> int:
        return len(self.catalogue)

    @property
    def listeners(self) -> npt.NDArray[np.int64]:
        """How many people listen to each artist, 0 where unknown, (artists,)."""
        return self.catalogue.listeners

    def find(self, artist: str) -> ArtistRecord:
        """Find an artist by id or name.

        Raises
        ------
        DataError
            No such artist (the message suggests similar names), or several.
        """
        return self.catalogue.artists.find(artist)

    def records(self, rows: Iterable[int]) -> list[ArtistRecord]:
        """Read artists by row."""
        return self.catalogue.artists.records(rows)

    def encoded(self, rows: npt.ArrayLike) -> EncodedArtists:
        """Select artists by row."""
        return self.catalogue.encoded.select(rows)

    def score(self, query: EncodedArtists, rows: npt.ArrayLike) -> ScoreParts:
        """Score artists by row for a query."""
        return self.catalogue.score(query, rows)

    def candidates(
        self, queries: Sequence[EncodedArtists], n: int, allowed: npt.NDArray[np.bool_]
    ) -> npt.NDArray[np.int64] | None:
        """Find rows worth scoring; None where all artists are to be scored."""
        return None

    def load_scorer(self) -> "Scorer":
        """Read the scorer that encoded the catalogue.

        Raises
        ------
        DataError
            It is missing, damaged, or another one.
        """
        from twinear.model.scorer import Scorer  # torch is slow to import

        path = self.catalogue.folder / SCORER
        scorer = Scorer.read(path)
        found = sha256(path)
        if found != self.catalogue.scorer_sha256:
            raise DataError(
                path,
                f"is scorer {found[:12]}",
                expected=f"{self.catalogue.scorer_sha256[:12]}, which encoded the catalogue",
                remedy="run 'dvc repro catalogue'",
            )
        return scorer

    def encode(self, clips: Sequence[Path], scorer: "Scorer | None" = None) -> EncodedArtists:
        """Make a new artist of audio files, to ask about it.

        Raises
        ------
        ClipError
            A clip that cannot be heard.
        """
        from twinear.inference import embed  # as above

        return self.catalogue.represent(embed(scorer or self.load_scorer(), clips))

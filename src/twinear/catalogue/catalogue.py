"""The catalogue: every artist encoded once, as an index that is asked without being read whole.

    catalogue.json                 layout, hash of the scorer, definition of the score, sizes
    scorer.safetensors             the scorer it was built with, for new clips
    artists.sqlite                 artists and clips, by id, name and file (`lookup`)
    clip_offsets.npy               (artists + 1,) the clips of artist `a` begin at row `a`
    embeddings.npy                 (clips, units), the clips of an artist side by side
    nearness.npy                   (artists,) mean score to the nearest, for CSLS
    popularity.npy                 (artists,) what popularity adds to a candidate
    representatives.npy            (artists, k) the known artists that stand for each, and
    representative_weights.npy       how much each counts
    known.npy                      (known,) rows of the artists whose listens may be used, and
    similarity_{indptr,indices,values}.npy   their similarity, sparse
    listeners.npy                  (artists,) 0 where unknown
    neighbours.npy, neighbour_scores.npy     (artists, n_neighbours), best first
    search/                        the index of the approximate search, if there is one

Arrays are memory-mapped, and neither torch nor pandas is imported: opening takes milliseconds.
Checksums of all files are beside them. Up to `VERIFIED_BYTES` they are compared at every opening;
in a larger catalogue, most of which no question reads, only the shapes are, and `verify` compares
the rest.
Artists without listens are in the catalogue like all others: they are what the project is for.
"""

import json
import shutil
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from twinear.base.checksums import VERIFIED_BYTES, verify_checksums, write_checksums
from twinear.base.errors import DataError, ParamsError
from twinear.base.files import replacing, require, sha256, write_json
from twinear.base.params import parse_params
from twinear.catalogue.arrays import AGAIN, map_array
from twinear.catalogue.calibration import Calibration, SiameseScale
from twinear.catalogue.candidates import CandidateIndex
from twinear.catalogue.collaborative import Colistening, represent
from twinear.catalogue.csls import mean_nearest
from twinear.catalogue.encoded import EncodedArtists, Floats, Ints, plain_artists
from twinear.catalogue.head import describe_head, parse_head
from twinear.catalogue.indexing import open_index, search_of
from twinear.catalogue.lookup import ArtistRecord, ArtistTable, ClipRecord, write_artist_table
from twinear.catalogue.params import CatalogueParams
from twinear.catalogue.scoring import ScoreParts, Scoring

if TYPE_CHECKING:
    from twinear.catalogue.building import Neighbours, ScoredArtists

LAYOUT = 2  # of the folder; 1 held every two artists' scores
FACTS, SCORER, ARTISTS = "catalogue.json", "scorer.safetensors", "artists.sqlite"
INDEX = "search"


@dataclass(frozen=True, kw_only=True, eq=False)
class Catalogue:
    """All artists with clips, and what their scores need.

    Attributes
    ----------
    folder
        Where it was read from.
    identity
        SHA-256 of catalogue.json: another build, or other params, give another one.
    scorer_sha256
        Of the scorer that encoded the clips.
    artists
        The artists and clips by row, id, name and file.
    encoded
        What the score needs of each artist.
    listeners
        (artists,): how many people listen to each, 0 where unknown. It takes no part in the score.
    neighbours, neighbour_scores
        (artists, n_neighbours): the nearest of each, best first: rows, and scores in (0, 1). None
        are kept where there is an index.
    search
        `exact`, or the search of the index.
    """

    folder: Path
    identity: str
    scorer_sha256: str
    artists: ArtistTable
    encoded: EncodedArtists
    scoring: Scoring
    calibration: Calibration | SiameseScale
    listeners: Ints
    neighbours: npt.NDArray[np.int32]
    neighbour_scores: npt.NDArray[np.float64]
    search: str

    @property
    def calibrated(self) -> bool:
        """Whether scores are expected similarities."""
        return isinstance(self.calibration, Calibration)

    @cached_property
    def index(self) -> CandidateIndex | None:
        """The index of the approximate search, opened when it is first needed; or None.

        Raises
        ------
        DataError
            It is damaged, or its server is away.
        """
        return None if self.search == "exact" else open_index(self.search, self.folder / INDEX)

    @classmethod
    def read(cls, folder: Path) -> "Catalogue":
        """Open a folder that `write_catalogue` wrote.

        Raises
        ------
        DataError
            Missing, damaged, half-written, of another layout, or changed since it was written.
        """
        facts = _read_facts(folder)
        arrays = {
            name.removesuffix(".npy"): map_array(folder / name)
            for name in facts["files"]
            if name.endswith(".npy") and "/" not in name
        }
        try:
            artists = EncodedArtists(
                clip_offsets=arrays["clip_offsets"],
                embeddings=arrays["embeddings"],
                nearness=arrays["nearness"],
                representatives=arrays["representatives"],
                weights=arrays["representative_weights"],
                popularity=arrays["popularity"],
            )
            colistening = None
            if len(arrays["known"]):
                colistening = Colistening(
                    rows=arrays["known"],
                    indptr=arrays["similarity_indptr"],
                    indices=arrays["similarity_indices"],
                    values=arrays["similarity_values"],
                    deviation=facts["similarity_deviation"],
                )
            scoring = Scoring(
                head=parse_head(facts["head"]),
                params=parse_params("catalogue", CatalogueParams, facts["params"], folder / FACTS),
                mean=facts["mean"],
                deviation=facts["deviation"],
                colistening=colistening,
            )
            catalogue = cls(
                folder=folder,
                identity=sha256(folder / FACTS),
                scorer_sha256=facts["scorer"],
                artists=ArtistTable.open(folder / ARTISTS),
                encoded=artists,
                scoring=scoring,
                calibration=(Calibration if facts["calibrated"] else SiameseScale)(
                    **facts["calibration"]
                ),
                listeners=arrays["listeners"],
                neighbours=arrays["neighbours"],
                neighbour_scores=arrays["neighbour_scores"],
                search=facts["search"],
            )
        except (KeyError, TypeError, ParamsError) as error:
            raise _damaged(folder / FACTS, f"lacks or misstates {error}") from error
        catalogue._check_shapes()
        return catalogue

    def _check_shapes(self) -> None:
        n = self.artists.n_artists
        lengths = {
            "clip_offsets": len(self.encoded),
            "nearness": len(self.encoded.nearness),
            "popularity": len(self.encoded.popularity),
            "representatives": len(self.encoded.representatives),
            "representative_weights": len(self.encoded.weights),
            "listeners": len(self.listeners),
            "neighbours": len(self.neighbours),
            "neighbour_scores": len(self.neighbour_scores),
        }
        wrong = [name for name, length in lengths.items() if length != n]
        n_clips = len(self.encoded.embeddings)
        if not wrong and {int(self.encoded.clip_offsets[-1]), self.artists.n_clips} != {n_clips}:
            wrong = ["embeddings"]
        offsets = self.encoded.clip_offsets
        if not wrong and (offsets[0] or (offsets[1:] <= offsets[:-1]).any()):
            wrong = ["clip_offsets"]  # compiled code counts on it
        if wrong:
            found = f"{wrong[0]}.npy does not fit {n} artists and {self.artists.n_clips} clips"
            raise DataError(self.folder, found, expected="arrays that agree", remedy=AGAIN)

    def __len__(self) -> int:
        return len(self.encoded)

    def rows(self, ids: Sequence[str]) -> Ints:
        """Find the rows of these ids.

        Raises
        ------
        DataError
            An id is not in the catalogue.
        """
        return np.array(self.artists.rows(ids), dtype=np.int64)

    def query(self, row: int) -> EncodedArtists:
        """Take one artist of the catalogue, to ask about it."""
        return self.encoded.select([row])

    def represent(self, embeddings: Floats, *, exact: bool = False) -> EncodedArtists:
        """Prepare a new artist, to ask about it as about those of the catalogue.

        Parameters
        ----------
        embeddings
            (clips, units), by the catalogue's scorer.
        exact
            Compare it with all artists, also where there is an index.
        """
        new = plain_artists(np.array([0, len(embeddings)]), np.ascontiguousarray(embeddings))
        if not exact and self.index is not None:
            from twinear.catalogue.nearest import represent_by_search  # with numba, slow to import

            return represent_by_search(
                self.scoring, self.encoded, new, self.index.by_sound, self.index.known_by_sound
            )
        sound = self.scoring.sound(self.scoring.siamese(new, self.encoded))
        params, colistening = self.scoring.params, self.scoring.colistening
        representatives, weights = new.representatives, new.weights
        if colistening is not None:
            temperature = params.collaborative_inverse_temperature
            representatives, weights = represent(
                sound, colistening.rows, temperature, params.collaborative_artists
            )
        return EncodedArtists(
            clip_offsets=new.clip_offsets,
            embeddings=new.embeddings,
            nearness=mean_nearest(sound),
            representatives=representatives,
            weights=weights,
            popularity=new.popularity,
        )

    def score(self, queries: EncodedArtists, rows: npt.ArrayLike | None = None) -> ScoreParts:
        """Score artists of the catalogue, all or some rows, for each query."""
        candidates = self.encoded if rows is None else self.encoded.select(rows)
        return self.scoring.score(queries, candidates)

    def scores(self, queries: npt.ArrayLike, candidates: npt.ArrayLike) -> npt.NDArray[np.float64]:
        """Score artists by row, with everything that enters, (queries, candidates), in (0, 1)."""
        return self.calibration.apply(self.score(self.encoded.select(queries), candidates).total)

    def siamese(self, queries: npt.ArrayLike, candidates: npt.ArrayLike) -> Floats:
        """Score artists by row, by the network alone, (queries, candidates), in (0, 1)."""
        return self.scoring.siamese(self.encoded.select(queries), self.encoded.select(candidates))


def write_catalogue(
    artists: "ScoredArtists",
    neighbours: "Neighbours",
    listeners: npt.ArrayLike,
    scorer: Path,
    folder: Path,
) -> None:
    """Write a catalogue's folder, whole or not at all.

    Parameters
    ----------
    listeners
        (artists,): how many people listen to each, 0 where unknown.
    scorer
        The scorer's file; it is copied.
    """
    encoded, scoring = artists.encoded, artists.scoring
    colistening = scoring.colistening or Colistening(
        rows=np.empty(0, np.int64),
        indptr=np.zeros(1, np.int64),
        indices=np.empty(0, np.int32),
        values=np.empty(0, np.float32),
        deviation=1.0,
    )
    arrays: dict[str, npt.NDArray[Any]] = {
        "clip_offsets": encoded.clip_offsets,
        "embeddings": encoded.embeddings,
        "nearness": encoded.nearness,
        "popularity": encoded.popularity,
        "representatives": encoded.representatives,
        "representative_weights": encoded.weights,
        "known": colistening.rows,
        "similarity_indptr": colistening.indptr,
        "similarity_indices": colistening.indices,
        "similarity_values": colistening.values,
        "listeners": np.asarray(listeners, dtype=np.int64),
        "neighbours": neighbours.rows,
        "neighbour_scores": neighbours.scores,
    }
    with replacing(folder) as temporary:
        temporary.mkdir()
        for name, array in arrays.items():
            np.save(temporary / f"{name}.npy", array, allow_pickle=False)
        write_artist_table(
            temporary / ARTISTS,
            _artist_records(artists, arrays["listeners"]),
            _clip_records(artists),
        )
        shutil.copyfile(scorer, temporary / SCORER)
        if artists.index is not None:
            shutil.move(artists.index, temporary / INDEX)
        facts = {
            "layout": LAYOUT,
            "scorer": sha256(scorer),
            "search": search_of(scoring.params, scoring.head, len(encoded))
            if artists.index is not None
            else "exact",
            "artists": len(encoded),
            "clips": len(encoded.embeddings),
            "known": len(colistening.rows),
            "head": describe_head(scoring.head),
            "mean": scoring.mean,
            "deviation": scoring.deviation,
            "similarity_deviation": colistening.deviation,
            "params": scoring.params.model_dump(mode="json"),
            "calibrated": isinstance(artists.calibration, Calibration),
            "calibration": asdict(artists.calibration),
            "files": {
                path.relative_to(temporary).as_posix(): path.stat().st_size
                for path in sorted(temporary.rglob("*"))
                if path.is_file()
            },
        }
        write_json(temporary / FACTS, facts)
        write_checksums(temporary)


def verify(folder: Path) -> int:
    """Compare every file of a catalogue with its checksum; return how many bytes were read.

    Raises
    ------
    DataError
        A file has changed since it was written.
    """
    files = _read_facts(folder)["files"]
    verify_checksums(folder, [FACTS, *files], AGAIN)
    return sum(files.values())


def _artist_records(artists: "ScoredArtists", listeners: Ints) -> list[ArtistRecord]:
    table = artists.table
    return [
        ArtistRecord(row=row, artist=artist, name=name, listeners=int(people), clips=clips)
        for row, (artist, name, clips, people) in enumerate(
            zip(table["artist"], table["name"], table["clips"], listeners, strict=True)
        )
    ]


def _clip_records(artists: "ScoredArtists") -> list[ClipRecord]:
    artist_rows = np.repeat(np.arange(len(artists.encoded)), artists.encoded.clip_counts)
    return [
        ClipRecord(row=row, file=file, artist_row=artist, title=title, seconds=seconds)
        for row, (file, title, seconds, artist) in enumerate(
            zip(
                *(artists.clips[column] for column in ("file", "title", "seconds")),
                artist_rows.tolist(),
                strict=True,
            )
        )
    ]


def _read_facts(folder: Path) -> dict[str, Any]:
    require(folder, AGAIN)
    path = folder / FACTS
    if not path.exists() and (folder / "scores.npy").exists():
        found = "is of twinear 0.2 before the catalogue was an index"
        raise DataError(folder, found, expected=f"layout {LAYOUT}", remedy=AGAIN)
    require(path, AGAIN)
    try:
        facts = json.loads(path.read_text(encoding="utf-8"))
        layout, files = facts["layout"], dict(facts["files"])
    except (ValueError, KeyError, TypeError) as error:
        raise _damaged(path, str(error)) from error
    if layout != LAYOUT:
        raise DataError(folder, f"has layout {layout}", expected=f"{LAYOUT}", remedy=AGAIN)
    for name, size in files.items():
        held = require(folder / name, AGAIN).stat().st_size
        if held != size:
            raise _damaged(folder / name, f"has {held:,} bytes instead of {size:,}")
    whole = sum(files.values()) <= VERIFIED_BYTES
    verify_checksums(folder, [FACTS, *(files if whole else ())], AGAIN)
    return dict(facts)


def _damaged(path: Path, reason: str) -> DataError:
    first_line = reason.splitlines()[0] if reason else "unreadable"
    return DataError(path, f"is not what was written there ({first_line})", remedy=AGAIN)

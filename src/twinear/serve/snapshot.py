"""What a request is answered from: one catalogue, opened once and never changed.

A request takes the current snapshot when it begins and keeps it to its end. Where the catalogue's
folder is replaced, artists are added, or another scorer becomes champion, a new snapshot is opened
beside the old one and takes its place; the old one goes with its last request. So an answer is of
the old catalogue or of the new one, never of both, and none is refused meanwhile.

A snapshot is opened whole: what is opened later would be of the folder that is then there.
"""

import hashlib
import logging
import threading
from collections import OrderedDict
from collections.abc import Callable, Hashable, Iterable, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any, TypeVar

import numpy as np
import numpy.typing as npt
from pydantic import BaseModel

from twinear.artists.identity import is_mbid
from twinear.base.errors import DataError, TwinearError
from twinear.catalogue.catalogue import FACTS
from twinear.catalogue.head import sigmoid
from twinear.catalogue.lookup import ArtistRecord, ClipRecord
from twinear.clips.roots import audio_roots
from twinear.model.scorer import Scorer
from twinear.ranking.receipt import FILE as RECEIPT
from twinear.recommendation.additions import FILE as ADDITIONS
from twinear.recommendation.collection import Collection
from twinear.serve.answers import Artist, Clip, Model, Words
from twinear.serve.audio_files import (
    AudioFiles,
    clip_id,
    digest_of,
    parse_clip_id,
)
from twinear.serve.errors import ApiError, without_folders
from twinear.serve.options import ServeOptions
from twinear.serve.report import LISTENERS, RANKING, Report, ranking_folder, read_report

T = TypeVar("T")

log = logging.getLogger(__name__)

KEPT = 20_000  # rows of answers of a snapshot, and clips
RETRY = {"Retry-After": "5"}
DIGITS = 12  # of a hash that is shown
QUERIES, CANDIDATES = 64, 1024  # artists whose scores say what a usual score is
# the share of the pairs of artists that score less than those that are called so
WORDS: tuple[tuple[float, Words], ...] = (
    (0.995, "very alike"),
    (0.95, "alike"),
    (0.80, "somewhat alike"),
)
FEWEST: Words = "hardly alike"


class Kept:
    """Values that were computed, the ones used last; several threads may ask.

    Parameters
    ----------
    most
        How many rows of answers are kept, which bounds the memory: a row takes about a kilobyte.
    """

    def __init__(self, most: int) -> None:
        self._most, self._n_rows, self._lock = most, 0, threading.Lock()
        self._values: OrderedDict[Hashable, Any] = OrderedDict()

    def __len__(self) -> int:
        return len(self._values)

    def get(self, key: Hashable, compute: Callable[[], T]) -> T:
        """Give the value of a key; it is computed if it is not kept."""
        with self._lock:
            if key in self._values:
                self._values.move_to_end(key)
                value: T = self._values[key]
                return value
        value = compute()  # perhaps by two threads at once, to equal values
        with self._lock:
            if key not in self._values:
                self._values[key] = value
                self._n_rows += _count_rows(value)
            while self._n_rows > self._most:
                _, oldest = self._values.popitem(last=False)
                self._n_rows -= _count_rows(oldest)
        return value


def _count_rows(value: object) -> int:
    """Count the rows of an answer, and one for the rest of it."""
    if not isinstance(value, BaseModel):
        return 1
    return 1 + sum(len(each) for _, each in value if isinstance(each, list))


@dataclass(frozen=True, kw_only=True, eq=False)
class Snapshot:
    """An opened catalogue, with the artists added to it.

    Attributes
    ----------
    scorer
        The one that encoded it.
    data_sha256
        Of the catalogue and the artists added to it.
    model
        What every answer says of it.
    audio
        Which of its clips may be played.
    report
        The figures of this catalogue.
    thresholds, clip_thresholds
        The scores from which on two artists, or clips, are very alike, alike, and somewhat alike.
    kept
        Answers that were given.
    """

    collection: Collection
    scorer: Scorer
    data_sha256: str
    model: Model
    audio: AudioFiles
    report: Report
    thresholds: tuple[float, ...]
    clip_thresholds: tuple[float, ...]
    kept: Kept = field(default_factory=lambda: Kept(KEPT))
    kept_clips: Kept = field(default_factory=lambda: Kept(KEPT))

    @classmethod
    def open(cls, options: ServeOptions) -> "Snapshot":
        """Open the catalogue that is there.

        Raises
        ------
        DataError
            The catalogue is missing, damaged or of another layout.
        """
        collection = Collection.open(options.catalogue)
        catalogue = collection.catalogue
        scorer, _ = collection.load_scorer(), catalogue.index  # while the folder is this one
        music = [] if options.music is None else [options.music.resolve()]
        roots = (*audio_roots(options.data), *music)
        digest = hash_data(collection)
        thresholds, clip_thresholds = _usual_scores(collection)
        return cls(
            collection=collection,
            scorer=scorer,
            data_sha256=digest,
            model=Model(
                scorer=catalogue.scorer_sha256[:DIGITS],
                data=digest[:DIGITS],
                listens=catalogue.scoring.uses_listens,
            ),
            audio=AudioFiles(data=options.data, roots=roots, token=options.token),
            report=read_report(options.reports, options.catalogue, catalogue.identity),
            thresholds=thresholds,
            clip_thresholds=clip_thresholds,
        )

    def __len__(self) -> int:
        return len(self.collection)

    def find(self, artist: str) -> ArtistRecord:
        """Find an artist by id, MBID or name.

        Raises
        ------
        ApiError
            404 with the nearest names, or 422 with those who bear the name.
        """
        return the_only(self.collection.matches(artist), artist, self.collection)

    def find_clip(self, text: str) -> ClipRecord:
        """Find a clip by its id, also one that another build of the catalogue gave.

        Raises
        ------
        ApiError
            404: no clip has this id.
        """
        parsed = parse_clip_id(text)
        if parsed:
            digest, row = parsed
            n_clips = self.collection.catalogue.artists.n_clips + len(self.collection.added_clips)
            if row < n_clips:
                (clip,) = self.collection.clips([row])
                if digest_of(clip.file) == digest:
                    return clip
            if (moved := self._rows_of_clips.get(digest)) is not None:
                (clip,) = self.collection.clips([moved])
                return clip
        raise ApiError(404, "unknown_clip", "clip", f"no clip '{text}'")

    @cached_property
    def _rows_of_clips(self) -> dict[str, int]:
        """Find the row of every clip by its digest; needed only for ids of another build."""
        built = self.collection.catalogue.artists.n_clips
        files = ((clip.row, clip.file) for clip in self.collection.clips(range(built)))
        added = ((clip.row, clip.file) for clip in self.collection.added_clips)
        return {digest_of(file): row for row, file in (*files, *added)}

    def artist(self, record: ArtistRecord) -> Artist:
        """Describe an artist."""
        return Artist(
            id=record.artist,
            name=shown(record.name),
            mbid=record.artist if is_mbid(record.artist) else None,
            listeners=record.listeners,
            clips=record.clips,
            known=record.row in self._known,
        )

    def artists(self, rows: Iterable[int]) -> list[Artist]:
        """Describe artists by row."""
        return [self.artist(record) for record in self.collection.records(rows)]

    @cached_property
    def by_listeners(self) -> npt.NDArray[np.int64]:
        """Order all artists by their listeners, (artists,)."""
        return np.argsort(-self.collection.listeners, kind="stable")

    @cached_property
    def _known(self) -> frozenset[int]:
        colistening = self.collection.catalogue.scoring.colistening
        return frozenset() if colistening is None else frozenset(colistening.rows.tolist())

    def clip(self, record: ClipRecord) -> Clip:
        """Describe a clip."""
        identifier = clip_id(record.file, record.row)
        playable = self.audio.locate(record.file) is not None
        return Clip(
            id=identifier,
            title=shown(record.title) or None,
            seconds=round(record.seconds, 3),
            audio=self.audio.address(identifier) if playable else None,
        )

    def clips_of(self, row: int) -> list[Clip]:
        """Describe the clips of an artist."""
        return [self.clip(record) for record in self.collection.clips_of(row)]

    def first_clip(self, row: int) -> Clip | None:
        """Describe a clip to listen to: the first that may be played, or else the first."""

        def find() -> Clip | None:
            clips = self.clips_of(row)
            return next((clip for clip in clips if clip.audio), clips[0] if clips else None)

        return self.kept_clips.get(row, find)

    def clip_words(self, score: float) -> Words:
        """Say the score of two clips in words, by that of usual pairs."""
        return self._in_words(score, self.clip_thresholds)

    def words(self, score: float) -> Words:
        """Say the score of two artists in words, by that of usual pairs."""
        return self._in_words(score, self.thresholds)

    def _in_words(self, score: float, thresholds: tuple[float, ...]) -> Words:
        for threshold, (_, words) in zip(thresholds, WORDS, strict=True):
            if score >= threshold:
                return words
        return FEWEST


def the_only(matches: Sequence[ArtistRecord], artist: str, collection: Collection) -> ArtistRecord:
    """Return the only artist of a collection that matches what was asked for.

    Raises
    ------
    ApiError
        404 with the nearest names, or 422 with those who bear the name.
    """
    if len(matches) == 1:
        return matches[0]
    if matches:
        ids = ", ".join(match.artist for match in matches[:5])
        found = f"several artists are called '{artist}'"
        raise ApiError(422, "several_artists", "artist", found, remedy=f"give the id: {ids}")
    near = collection.suggest(artist)
    listed = ", ".join(f"'{name}'" for name in near)
    raise ApiError(
        404,
        "unknown_artist",
        "artist",
        f"no artist '{artist}' among {len(collection):,}",
        remedy=f"did you mean {listed}?" if near else "check the spelling, or give the id",
        nearest=near,
    )


def shown(text: str) -> str:
    """Replace what no UTF-8 text can hold."""
    return text.encode(errors="replace").decode()


def hash_data(collection: Collection) -> str:
    """Hash the catalogue's definition and the artists that were added to it."""
    digest = hashlib.sha256(collection.catalogue.identity.encode())
    for record in collection.added:
        digest.update(f"\n{record.artist} {record.clips}".encode(errors="surrogatepass"))
    if collection.added_encoded is not None:
        digest.update(np.ascontiguousarray(collection.added_encoded.embeddings).tobytes())
    return digest.hexdigest() if collection.added else collection.catalogue.identity


def _usual_scores(collection: Collection) -> tuple[tuple[float, ...], tuple[float, ...]]:
    """Find the quantiles of `WORDS` among the scores of random pairs of artists, and of clips."""
    catalogue, rng = collection.catalogue, np.random.default_rng(0)
    n = len(catalogue)
    queries = rng.choice(n, min(QUERIES, n), replace=False)
    candidates = rng.choice(n, min(CANDIDATES, n), replace=False)
    different = queries[:, None] != candidates
    first = catalogue.encoded.clip_offsets[:-1]  # a clip of each
    clips = catalogue.encoded.embeddings
    logits = catalogue.scoring.head.logit(clips[first[queries]], clips[first[candidates]])
    return (
        _quantiles(catalogue.scores(queries, candidates)[different]),
        _quantiles(sigmoid(logits)[different]),
    )


def _quantiles(scores: npt.NDArray[Any]) -> tuple[float, ...]:
    if not len(scores):  # a catalogue of one artist
        return tuple(share for share, _ in WORDS)
    return tuple(float(np.quantile(scores, share)) for share, _ in WORDS)


@dataclass(eq=False)
class Snapshots:
    """The snapshot that new requests take.

    Attributes
    ----------
    current
        None as long as there is no catalogue.
    problem
        Why there is none, or why the latest catalogue is not taken; None if all is well.
    listeners
        Called with each new snapshot before it is taken.
    """

    options: ServeOptions
    current: Snapshot | None = None
    problem: ApiError | None = None
    listeners: list[Callable[[Snapshot], None]] = field(default_factory=list)
    _seen: Hashable = None
    _stop: threading.Event = field(default_factory=threading.Event)
    _thread: threading.Thread | None = None

    def start(self) -> None:
        """Open the catalogue, and watch it from now on."""
        self.look()
        self._thread = threading.Thread(target=self._watch, name="catalogue", daemon=True)
        self._thread.start()

    def stop(self) -> None:
        """End the watch."""
        self._stop.set()
        if self._thread:
            self._thread.join()

    def _watch(self) -> None:
        while not self._stop.wait(self.options.poll_seconds):
            self.look()

    def look(self) -> None:
        """Take the catalogue that is there, if it is another one than before."""
        wanted = None
        if self.options.model:
            wanted = self._wanted_scorer()
            if wanted is None:
                return
        seen = (_state(self.options), wanted)
        if seen == self._seen:
            return
        try:
            snapshot = Snapshot.open(self.options)
            if _state(self.options) != seen[0]:
                return  # replaced while it was opened: look again
            if wanted and snapshot.collection.catalogue.scorer_sha256 != wanted:
                raise DataError(
                    "catalogue",
                    f"is of scorer {snapshot.model.scorer}",
                    expected=f"{wanted[:DIGITS]}, which {self.options.model} names",
                    remedy="run 'dvc repro' with that scorer, or serve without --model",
                )
            for listener in self.listeners:
                listener(snapshot)
        except (TwinearError, OSError) as error:
            if _state(self.options) == seen[0]:  # else it is being replaced
                self._refuse(error)
                self._seen = seen
            return
        for line in snapshot.collection.warnings:
            log.warning("left out: %s", line)
        self.current, self.problem, self._seen = snapshot, None, seen
        log.info(
            "serving", extra={"facts": snapshot.model.model_dump() | {"artists": len(snapshot)}}
        )

    def _refuse(self, error: TwinearError | OSError) -> None:
        log.warning("catalogue not taken: %s", error)
        found, expected, remedy = "there is no catalogue yet", "", "run 'make run'"
        if (self.options.catalogue / FACTS).exists():
            found = "the catalogue cannot be used"
            if isinstance(error, TwinearError):
                _, found, expected, remedy = map(without_folders, error.parts)
        self.problem = ApiError(
            503,
            "no_catalogue",
            "catalogue",
            found,
            expected=expected,
            remedy=remedy,
            headers=RETRY,
        )

    def _wanted_scorer(self) -> str | None:
        """Look up the SHA-256 of the registered scorer; None if that is not possible now."""
        from twinear.tracking.registry import resolve  # with MLflow, slow to import

        try:
            return resolve(self.options.model).scorer
        except TwinearError as error:
            log.warning("model not found: %s", error)
            if self.current is None:
                _, found, _, remedy = error.parts
                self.problem = ApiError(
                    503, "no_model", "model", found, remedy=remedy, headers=RETRY
                )
            return None


def _state(options: ServeOptions) -> Hashable:
    """Describe what is there: another folder, or other additions, give another value."""
    return tuple(
        _identify(path)
        for path in (
            options.catalogue / FACTS,
            options.catalogue.resolve().parent / ADDITIONS,
            options.reports / RANKING,
            options.reports / LISTENERS,
            ranking_folder(options.catalogue) / RECEIPT,
        )
    )


def _identify(path: Path) -> Hashable:
    try:
        found = path.stat()
    except OSError:
        return None
    return found.st_ino, found.st_mtime_ns, found.st_size

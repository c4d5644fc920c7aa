"""Artists that a user adds to a catalogue without building it again.

They live in one SQLite file beside the catalogue's folder, which is immutable, and survive its next
build. Of each clip the file keeps the embedding and the network's input, so that a new scorer with
the same front end encodes the clip again without its audio; for another front end the audio is read
again where it was. An artist of whom this is not possible is left out, with a warning.

An added artist is scored by the definition of the build, `Catalogue.represent`; what its presence
would change in the CSLS nearness of others waits for the next build. If the catalogue comes to hold
the artist itself, that one counts.
"""

import functools
import json
import math
from collections.abc import Callable, Iterable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from os import fsencode
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import numpy as np

from twinear.artists.identity import (
    artist_id,
    is_mbid,
    no_artist,
    normalise_name,
    several_artists,
    strip_featured,
)
from twinear.base.encoding import decode_name
from twinear.base.errors import ClipError, DataError, TwinearError, nearest
from twinear.base.files import sha256
from twinear.base.text import one_line
from twinear.catalogue.catalogue import Catalogue
from twinear.catalogue.encoded import EncodedArtists, Floats
from twinear.recommendation.additions_file import AdditionsFile, StoredArtist

if TYPE_CHECKING:  # decoders and torch are slow to import, and most questions need neither
    from twinear.clips.clips import ClipsParams
    from twinear.compute.pool import Progress
    from twinear.inference import ClipInput
    from twinear.model.scorer import Scorer

FILE = "additions.sqlite"

State = Literal["current", "outdated", "unavailable", "in the catalogue"]
Write = tuple[str, tuple[Any, ...]]  # a statement and its values


@dataclass(frozen=True, kw_only=True)
class AddedClip:
    """A clip of an added artist."""

    path: Path
    title: str
    seconds: float


@dataclass(frozen=True, kw_only=True, eq=False)
class AddedArtist:
    """An added artist, ready to be asked about and to be an answer."""

    artist: str
    name: str
    clips: tuple[AddedClip, ...]
    encoded: EncodedArtists  # this one


@dataclass(frozen=True, kw_only=True, eq=False)
class CurrentAdditions:
    """The added artists that can be scored, and a line about each of those that cannot."""

    artists: list[AddedArtist]
    warnings: list[str]


@dataclass(frozen=True, kw_only=True)
class Addition:
    """What was added, and a line about each clip that was left out."""

    artist: str
    name: str
    clips: list[str]
    left_out: list[str]


@dataclass(frozen=True, kw_only=True)
class ListedArtist:
    """An added artist and its state.

    Attributes
    ----------
    state
        `current`: encoded by the catalogue's scorer; `outdated`: will be encoded again when it is
        asked for; `unavailable`: cannot be, and is left out; `in the catalogue`: which has come to
        hold the artist, and counts.
    problem
        Why it is unavailable, and what to do; else "".
    """

    artist: str
    name: str
    clips: list[str]
    state: State
    problem: str


@dataclass(frozen=True, kw_only=True, eq=False)
class Additions:
    """The artists added beside a catalogue.

    Attributes
    ----------
    file
        Where they are kept; without it there are none.
    catalogue
        What they are added to.
    """

    file: AdditionsFile
    catalogue: Catalogue

    @classmethod
    def beside(cls, catalogue: Catalogue) -> "Additions":
        """Take the additions to a catalogue; their file is read when it is needed."""
        return cls(file=AdditionsFile(path=catalogue.folder.parent / FILE), catalogue=catalogue)

    def add(
        self,
        name: str,
        clips: Sequence[Path | str],
        scorer: "Scorer",
        mbid: str = "",
        *,
        usable: "ClipsParams | None" = None,
        progress: "Progress" = iter,
    ) -> Addition:
        """Add an artist, whole or not at all.

        Parameters
        ----------
        clips
            Audio files of any codec and length, and folders of them; see `read_new_clips`.
        scorer
            The catalogue's.
        mbid
            The artist's MusicBrainz id, if it has one.
        usable
            Which clips are too short or silent; by default as in the project's params.yaml.

        Raises
        ------
        ClipError
            A clip that cannot be used.
        DataError
            No name, or one that stands for no artist; no clip; an artist that is there already; a
            scorer whose encoder is not here; a file that cannot be read or written.
        """
        from twinear.inference import encode_inputs
        from twinear.recommendation.new_clips import USABLE, read_new_clips

        artist, name = _identify(name, mbid)
        self._refuse_known(artist, name, self.file.read())  # before the audio, which takes time
        new = read_new_clips(clips, scorer, usable or USABLE, progress)
        embeddings = encode_inputs(scorer, [clip.input for clip in new.clips])
        with self.file.transaction(create=True) as connection:
            self._refuse_known(artist, name, self.file.read_from(connection))
            artist_row = connection.execute(
                "INSERT INTO artists (artist, name) VALUES (?, ?)", (artist, name)
            ).lastrowid
            for clip, embedding in zip(new.clips, embeddings, strict=True):
                facts = fsencode(clip.path), clip.title, clip.seconds, clip.sha256
                made = _describe(scorer), self.catalogue.scorer_sha256, embedding.tobytes()
                clip_row = connection.execute(
                    "INSERT INTO clips (artist_row, path, title, seconds, sha256, front, scorer, "
                    "embedding) VALUES (?, ?, ?, ?, ?, ?, ?, ?)",
                    (artist_row, *facts, *made),
                ).lastrowid
                connection.execute(
                    "INSERT INTO inputs VALUES (?, ?)", (clip_row, _to_bytes(clip.input))
                )
        files = [str(clip.path) for clip in new.clips]
        return Addition(artist=artist, name=name, clips=files, left_out=new.left_out)

    def remove(self, artist: str) -> Addition:
        """Remove an added artist, given by name or id, and return what it was.

        Raises
        ------
        DataError
            No such artist (the message suggests similar names), or several; a file that cannot be
            read or written.
        """
        if not self.file.path.exists():
            raise no_artist(self.file.path, artist, 0, [])
        with self.file.transaction() as connection:
            found = self._find(artist, self.file.read_from(connection))
            connection.execute("DELETE FROM artists WHERE row = ?", (found.row,))
        files = [str(clip.path) for clip in found.clips]
        return Addition(artist=found.artist, name=found.name, clips=files, left_out=[])

    def describe(self, load_scorer: "Callable[[], Scorer]") -> list[ListedArtist]:
        """Describe the added artists by name; the scorer is loaded only if one is outdated.

        Raises
        ------
        DataError
            The file is damaged, of another version, or cannot be read.
        """
        load = functools.cache(load_scorer)
        by_name = sorted(
            self.file.read(), key=lambda stored: (normalise_name(stored.name), stored.artist)
        )
        listed = []
        for stored in by_name:
            state, problem = self._state(stored, load)
            files = [str(clip.path) for clip in stored.clips]
            listed.append(
                ListedArtist(
                    artist=stored.artist,
                    name=stored.name,
                    clips=files,
                    state=state,
                    problem=problem,
                )
            )
        return listed

    def current(self, load_scorer: "Callable[[], Scorer]") -> CurrentAdditions:
        """Give the added artists that can be scored, in the order in which they were added.

        The clips of another scorer are encoded again, and the result is kept; only then the scorer
        is loaded.

        Raises
        ------
        DataError
            The file is damaged, of another version, or cannot be read.
        """
        load = functools.cache(load_scorer)
        stored_artists = self.file.read()
        represented = self._read_represented() if stored_artists else {}
        artists, warnings, writes = list[AddedArtist](), list[str](), list[Write]()
        for stored in stored_artists:
            state, problem = self._state(stored, load)
            if state == "outdated":
                try:
                    embeddings = self._encode_again(stored, load(), writes)
                except ClipError as error:
                    state, problem = "unavailable", str(error)
            elif state == "current":
                embeddings = self._embeddings(stored)
            if state == "unavailable":
                warnings.append(f"{stored.name}: {problem}")
            if state in ("unavailable", "in the catalogue"):
                continue
            if state == "current" and stored.row in represented:
                encoded = _encoded(embeddings, *represented[stored.row])
            else:  # computing it passes over the whole catalogue
                encoded = self.catalogue.represent(embeddings)
                writes.append(self._keep_represented(stored, encoded))
            clips = tuple(
                AddedClip(path=clip.path, title=clip.title, seconds=clip.seconds)
                for clip in stored.clips
            )
            artists.append(
                AddedArtist(artist=stored.artist, name=stored.name, clips=clips, encoded=encoded)
            )
        # where this is not possible at once, it is computed again next time
        if writes:
            with suppress(DataError), self.file.transaction(patience=1) as connection:
                for statement, values in writes:
                    connection.execute(statement, values)
        return CurrentAdditions(artists=artists, warnings=warnings)

    def _refuse_known(self, artist: str, name: str, added: Iterable[StoredArtist]) -> None:
        if held := self._in_catalogue(artist, name):
            raise DataError(
                self.catalogue.folder,
                f"'{name}' is in the catalogue as {held}",
                remedy="if this is another artist of that name, give its MusicBrainz id (--mbid)",
            )
        for other in added:
            if _is_same(artist, name, other.artist, other.name):
                raise DataError(
                    self.file.path,
                    f"'{name}' was added before as {other.name} ({other.artist})",
                    remedy=f"remove it first: twinear catalogue remove '{other.artist}'",
                )

    def _in_catalogue(self, artist: str, name: str) -> str:
        """Return the name and id under which the catalogue holds the artist, or ""."""
        table = self.catalogue.artists
        for held in [*table.with_id(artist), *table.named(name)]:
            if _is_same(artist, name, held.artist, held.name):
                return f"{held.name} ({held.artist})"
        return ""

    def _find(self, query: str, added: Sequence[StoredArtist]) -> StoredArtist:
        """Find an added artist as `artists.identity.find_artist` finds one of a table."""
        key, ids = normalise_name(query), (query, query.strip().lower())
        matches = [each for each in added if each.artist in ids]
        matches = matches or [each for each in added if normalise_name(each.name) == key]
        if len(matches) > 1:
            namesakes = [(each.name, each.artist) for each in matches]
            raise several_artists(self.file.path, query, namesakes)
        if not matches:
            names = {normalise_name(each.name): each.name for each in added}
            near = [names[name] for name in nearest(key, names, n=3)]
            raise no_artist(self.file.path, query, len(added), near)
        return matches[0]

    def _state(self, stored: StoredArtist, load: "Callable[[], Scorer]") -> tuple[State, str]:
        if self._in_catalogue(stored.artist, stored.name):
            return "in the catalogue", ""
        if all(clip.scorer == self.catalogue.scorer_sha256 for clip in stored.clips):
            return "current", ""
        front = _describe(load())
        changed = [clip for clip in stored.clips if clip.front != front]
        for clip in changed:
            if fault := _find_change(clip.path, clip.sha256):
                problem = f"the scorer has another front end, and {clip.path} {fault}"
                again = f"then 'twinear catalogue remove {stored.artist}', and add it again"
                return "unavailable", f"{problem}; bring the file back, or find another, {again}"
        if changed:
            from twinear.inference import find_scorer_encoder

            try:
                find_scorer_encoder(load())
            except TwinearError as error:
                return "unavailable", str(error)
        return "outdated", ""

    def _encode_again(self, stored: StoredArtist, scorer: "Scorer", writes: list[Write]) -> Floats:
        """Encode the clips by a new scorer, from the inputs that are kept or from the audio."""
        from twinear.inference import encode_inputs
        from twinear.recommendation.new_clips import read_input

        inputs = self._read_inputs(stored, scorer)
        for clip in stored.clips:
            if clip.row not in inputs:
                inputs[clip.row] = read_input(clip.path, scorer)
                statement = "UPDATE inputs SET log_mel = ? WHERE clip_row = ?"
                writes.append((statement, (_to_bytes(inputs[clip.row]), clip.row)))
        embeddings = encode_inputs(scorer, [inputs[clip.row] for clip in stored.clips])
        for clip, embedding in zip(stored.clips, embeddings, strict=True):
            made = _describe(scorer), self.catalogue.scorer_sha256, embedding.tobytes()
            statement = "UPDATE clips SET front = ?, scorer = ?, embedding = ? WHERE row = ?"
            writes.append((statement, (*made, clip.row)))
        return embeddings

    def _read_inputs(self, stored: StoredArtist, scorer: "Scorer") -> "dict[int, ClipInput]":
        """Read the inputs that are kept and of this front end, by the clip's row."""
        from twinear.inference import ClipInput
        from twinear.recommendation.new_clips import input_dtype

        spec, dtype = scorer.inputs, np.dtype(input_dtype(scorer))
        size = dtype.itemsize * math.prod(spec.shape)  # what is joined follows, in float32
        inputs = {}
        with self.file.connect() as connection:
            for clip in stored.clips:
                if clip.front == _describe(scorer):
                    statement = "SELECT log_mel FROM inputs WHERE clip_row = ?"
                    (held,) = connection.execute(statement, (clip.row,)).fetchone() or (b"",)
                    if len(held) != size + 4 * spec.n_joined:
                        raise self.file.damaged(f"the input of {clip.path}")
                    inputs[clip.row] = ClipInput(
                        values=np.frombuffer(held[:size], dtype).reshape(spec.shape),
                        joined=np.frombuffer(held[size:], np.float32),
                    )
        return inputs

    def _embeddings(self, stored: StoredArtist) -> Floats:
        units = self.catalogue.encoded.embeddings.shape[1]
        held = b"".join(clip.embedding for clip in stored.clips)
        if len(held) != 4 * units * len(stored.clips):
            raise self.file.damaged(f"the embeddings of {stored.name}")
        return np.frombuffer(held, np.float32).reshape(-1, units)

    def _read_represented(self) -> dict[int, tuple[float, bytes, bytes]]:
        """Read what was computed by this catalogue, by the artist's row."""
        statement = "SELECT * FROM represented WHERE catalogue = ?"
        with self.file.connect() as connection:
            rows = connection.execute(statement, (self.catalogue.identity,)).fetchall()
        return {artist_row: tuple(values) for artist_row, _, *values in rows}

    def _keep_represented(self, stored: StoredArtist, encoded: EncodedArtists) -> Write:
        statement = "INSERT OR REPLACE INTO represented SELECT row, ?, ?, ?, ? FROM artists "
        arrays = encoded.representatives, encoded.weights
        values = self.catalogue.identity, float(encoded.nearness[0]), *(a.tobytes() for a in arrays)
        return statement + "WHERE row = ?", (*values, stored.row)


def _encoded(
    embeddings: Floats, nearness: float, representatives: bytes, weights: bytes
) -> EncodedArtists:
    """Put together one artist as `Catalogue.represent` returned it."""
    return EncodedArtists(
        clip_offsets=np.array([0, len(embeddings)]),
        embeddings=embeddings,
        nearness=np.array([nearness], np.float32),
        representatives=np.frombuffer(representatives, np.int32)[None],
        weights=np.frombuffer(weights, np.float32)[None],
        popularity=np.zeros(1, np.float32),
    )


def _identify(name: str, mbid: str) -> tuple[str, str]:
    """Return the id and the name as the import would."""
    from twinear.acquisition.music_folder import NON_ARTISTS

    name, mbid = one_line(decode_name(name)), mbid.strip().lower()
    if mbid and not is_mbid(mbid):
        expected = "a UUID, as in the artist's address at MusicBrainz"
        raise DataError("mbid", f"is '{mbid}'", expected=expected)
    if not name:
        raise DataError("name", "is empty", expected="the artist's name")
    if NON_ARTISTS.include(mbid, name):
        expected = "the name of an artist"
        raise DataError("name", f"'{name}' stands for no artist", expected=expected)
    return artist_id(mbid, name), name if mbid else strip_featured(name)


def _is_same(artist: str, name: str, other: str, other_name: str) -> bool:
    """Whether two are one artist: the same id, or the same name unless both have MBIDs."""
    if artist == other:
        return True
    has_ids = is_mbid(artist) and is_mbid(other)
    return not has_ids and normalise_name(name) == normalise_name(other_name)


def _describe(scorer: "Scorer") -> str:
    """Write what a scorer's input depends on as JSON: its front end, and its encoder."""
    described = scorer.spectrograms.model_dump(mode="json", exclude={"n_mfcc"})
    if scorer.inputs.extractor:
        described["extractor"] = scorer.inputs.extractor
    return json.dumps(described, sort_keys=True)


def _to_bytes(clip: "ClipInput") -> bytes:
    return clip.values.tobytes() + clip.joined.tobytes()


def _find_change(path: Path, digest: str) -> str:
    """Say why a file is not what it was when it was added; "" if it is."""
    try:
        if not path.is_file():
            return "is no longer there"
        return "" if sha256(path) == digest else "has changed"
    except OSError as error:
        return f"cannot be read ({error.strerror})"

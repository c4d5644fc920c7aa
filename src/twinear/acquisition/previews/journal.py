"""What a fetch has done so far, on disk: it may be killed at any moment and started again.

```
answers/       responses of services (`response_cache`)
audio/<key>    audio as it came, until it has been decoded
heard/<key>    the result of decoding it: the clip's file, or why it cannot be used
artists/<key>  the outcome for an artist
lock           held by the running fetch
```

Each file is whole or absent, and is written after what it describes: a clip is put in its place
before `heard` names it, and only then its audio is removed. Whatever is interrupted is done again
from the last whole file, without asking the service.
"""

import hashlib
import json
import shutil
import threading
from collections import defaultdict
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import TypeVar

from pydantic import TypeAdapter, ValidationError

from twinear.acquisition.lock import exclusive
from twinear.acquisition.previews.deduplication import audio_suffix
from twinear.acquisition.previews.provenance import ClipRow
from twinear.acquisition.previews.source import Preview, Source
from twinear.base.errors import ClipError
from twinear.base.files import replacing, sha256, write_text
from twinear.clips.clips import ClipsParams, decode_usable

T = TypeVar("T")

CHECK_SECONDS = 120
PART = ".*.part"  # what `replacing` writes to


@dataclass(frozen=True, kw_only=True)
class FetchedAudio:
    """The audio of a preview."""

    file: str = ""
    bytes: int = 0
    sha256: str = ""
    fetched: str = ""  # UTC, ISO 8601
    fault: str = ""  # why it cannot be used; "" if it can


@dataclass(frozen=True, kw_only=True)
class FetchedClip:
    """A clip, and the length of the whole recording (0 if unknown), to recognise its editions."""

    clip: ClipRow
    seconds: float


@dataclass(frozen=True, kw_only=True)
class ArtistOutcome:
    """What a fetch gave for an artist."""

    artist: str  # id
    name: str
    asked: list[str]  # the request: how many clips of which sources
    clips: list[FetchedClip] = field(default_factory=list)
    ambiguous: dict[str, str] = field(default_factory=dict)  # source -> how many have the name
    faults: dict[str, str] = field(default_factory=dict)  # source -> the error
    away: list[str] = field(default_factory=list)  # sources with faults that may pass
    set_aside: dict[str, str] = field(default_factory=dict)  # "source id" of a preview -> why
    redirects: dict[str, str] = field(default_factory=dict)  # a merged MBID -> the current one


AUDIO = TypeAdapter(FetchedAudio)
OUTCOME = TypeAdapter(ArtistOutcome)


class FetchJournal:
    """The journal in `folder` of a fetch into the data folder `into`; shared by threads."""

    def __init__(self, folder: Path, into: Path, usable: ClipsParams) -> None:
        self._folder = folder
        self._into = into
        self._usable = usable
        self._lock = threading.Lock()
        self._preview_locks: defaultdict[str, threading.Lock] = defaultdict(threading.Lock)

    @contextmanager
    def locked(self) -> Iterator[None]:
        """Exclude other processes (`DataError`), and remove what a killed one left incomplete."""
        with exclusive(self._folder / "lock"):
            parts = [*self._into.glob(PART), *(self._into / "clips").glob(PART)]
            for part in [*parts, *self._folder.rglob(PART)]:
                shutil.rmtree(part) if part.is_dir() else part.unlink(missing_ok=True)
            for staged in (self._folder / "audio").glob("*"):
                if (self._folder / "heard" / f"{staged.name}.json").exists():
                    staged.unlink()
            yield

    def outcome(self, artist: str) -> ArtistOutcome | None:
        """The outcome for an artist; of no request if a clip of it is no longer there."""
        known = _read(self._path("artists", artist), OUTCOME)
        clips = [fetched for fetched in known.clips if self.holds(fetched.clip)] if known else []
        if known is None or clips == known.clips:
            return known
        return replace(known, clips=clips, asked=[])

    def write_outcome(self, outcome: ArtistOutcome) -> None:
        """Keep the outcome for an artist."""
        write_text(self._path("artists", outcome.artist), json.dumps(asdict(outcome)))

    def holds(self, clip: ClipRow | FetchedAudio) -> bool:
        """Whether the clip's file is there and not cut off."""
        path = self._into / clip.file
        return path.is_file() and path.stat().st_size == clip.bytes

    def fetch_audio(self, preview: Preview, source: Source) -> FetchedAudio:
        """Get a preview's audio, from before or else from its source, and check it."""
        name = f"{source.name}\n{preview.source_id}\n{preview.duration_seconds}"
        with self._lock:
            lock = self._preview_locks[name]
        with lock:  # two artists may share a recording
            path = self._path("heard", name)
            known = _read(path, AUDIO)
            if known and (known.fault or self.holds(known)):
                return known
            staged = self._path("audio", name).with_suffix("")
            if not staged.is_file():
                staged.parent.mkdir(parents=True, exist_ok=True)
                source.download(preview, staged)
            audio = FetchedAudio(fault=find_fault(staged, self._usable))
            if not audio.fault:
                content, status = sha256(staged), staged.stat()
                file = f"clips/{content[:16]}{audio_suffix(staged)}"
                with self._lock, replacing(self._into / file) as temporary:
                    shutil.copyfile(staged, temporary)
                at = datetime.fromtimestamp(status.st_mtime, UTC).isoformat(timespec="seconds")
                size = status.st_size
                audio = FetchedAudio(file=file, bytes=size, sha256=content, fetched=at)
            write_text(path, json.dumps(asdict(audio)))
            staged.unlink()
            return audio

    def _path(self, kind: str, name: str) -> Path:
        key = hashlib.sha256(name.encode("utf-8", "surrogatepass")).hexdigest()[:32]
        return self._folder / kind / f"{key}.json"


def find_fault(path: Path, usable: ClipsParams) -> str:
    """Why a file of audio cannot be used, by the rules of the stage clips; "" if it can."""
    try:
        decode_usable(path, usable, CHECK_SECONDS)
    except ClipError as error:
        return reason(error, path)
    return ""


def reason(error: Exception, place: object) -> str:
    """What an error found, without its place and remedy."""
    return str(error).removeprefix(f"{place}: ").partition(";")[0]


def _read(path: Path, adapter: TypeAdapter[T]) -> T | None:
    """The content of a file of the journal; None if it is absent, or of another version."""
    try:
        return adapter.validate_json(path.read_bytes())
    except (OSError, ValidationError):
        return None

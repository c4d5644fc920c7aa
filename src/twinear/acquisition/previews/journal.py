"""What a fetch has done so far, on disk: it may be killed at any moment and started again.

```
answers/       what services answered (`answers`)
audio/<key>    audio as it came, until it has been heard
heard/<key>    what it was: the clip's file, or why it cannot be used; never fetched again
artists/<key>  what came of an artist
lock           held by the fetch that runs
```

Each file is whole or absent, and comes into being after what it speaks of: a clip is put in its
place before `heard` names it, and only then its audio is removed. Whatever is interrupted is done
again from the last file that is whole, without asking the service.
"""

import hashlib
import json
import math
import shutil
import threading
from collections import defaultdict
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import TypeVar

import numpy as np
from pydantic import TypeAdapter, ValidationError

from twinear.acquisition.previews.deduplication import audio_suffix
from twinear.acquisition.previews.provenance import Clip
from twinear.acquisition.previews.source import Preview, Source
from twinear.base.errors import ClipError, DataError
from twinear.base.files import replacing, sha256, write_text
from twinear.clips.clips import ClipsParams
from twinear.clips.waveform import load_waveform

try:
    import fcntl
except ImportError:  # Windows; there nobody is kept from fetching twice at once
    fcntl = None  # type: ignore[assignment]

T = TypeVar("T")

HEARD_SR = 22050
HEARD_SECONDS = 120


@dataclass(frozen=True, kw_only=True)
class Audio:
    """What a preview's audio turned out to be.

    Parameters
    ----------
    fault
        Why it cannot be used; "" if it can.
    fetched
        When, UTC, ISO 8601.
    """

    file: str = ""
    bytes: int = 0
    sha256: str = ""
    fetched: str = ""
    fault: str = ""


@dataclass(frozen=True, kw_only=True)
class Kept:
    """A clip, and how long the whole recording is (0 if unknown), to know it again."""

    clip: Clip
    seconds: float


@dataclass(frozen=True, kw_only=True)
class Outcome:
    """What came of an artist.

    Parameters
    ----------
    artist, name
        Id and name.
    asked
        How many clips of which sources, for which this is the answer.
    ambiguous, faults
        Source -> why it gave nothing: several of that name, or an error.
    away
        Those of the sources with faults that may answer another time.
    set_aside
        "source id" -> why that preview was not taken.
    redirects
        A merged MBID -> the current one.
    """

    artist: str
    name: str
    asked: list[str]
    clips: list[Kept] = field(default_factory=list)
    ambiguous: dict[str, str] = field(default_factory=dict)
    faults: dict[str, str] = field(default_factory=dict)
    away: list[str] = field(default_factory=list)
    set_aside: dict[str, str] = field(default_factory=dict)
    redirects: dict[str, str] = field(default_factory=dict)


AUDIO = TypeAdapter(Audio)
OUTCOME = TypeAdapter(Outcome)


class Journal:
    """The journal in `folder` of what is fetched into the data folder `into`. Of many threads."""

    def __init__(self, folder: Path, into: Path, usable: ClipsParams) -> None:
        self._folder = folder
        self._into = into
        self._usable = usable
        self._lock = threading.Lock()
        self._locks: defaultdict[str, threading.Lock] = defaultdict(threading.Lock)

    @contextmanager
    def held(self) -> Iterator[None]:
        """Keep other processes out, and clear away what a killed one left half-written.

        Raises
        ------
        DataError
            Another fetch is under way.
        """
        self._folder.mkdir(parents=True, exist_ok=True)
        with (self._folder / "lock").open("a") as file:
            try:
                if fcntl:
                    fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                found = "another fetch is under way"
                raise DataError(self._folder, found, remedy="wait until it has ended") from None
            self._tidy()
            yield

    def _tidy(self) -> None:
        places = self._into.glob, (self._into / "clips").glob, self._folder.rglob
        for left in [path for find in places for path in find(".*.part")]:
            shutil.rmtree(left) if left.is_dir() else left.unlink()
        for staged in (self._folder / "audio").glob("*"):
            if (self._folder / "heard" / f"{staged.name}.json").exists():
                staged.unlink()

    def outcome(self, artist: str) -> Outcome | None:
        """What came of an artist before; if clips are no longer there, of nothing asked for."""
        known = _read(self._path("artists", artist), OUTCOME)
        clips = [kept for kept in known.clips if self.holds(kept.clip)] if known else []
        if known is None or clips == known.clips:
            return known
        return replace(known, clips=clips, asked=[])

    def write_outcome(self, outcome: Outcome) -> None:
        """Note what came of an artist."""
        write_text(self._path("artists", outcome.artist), json.dumps(asdict(outcome)))

    def holds(self, clip: Clip | Audio) -> bool:
        """Whether the clip's file is there and not cut off."""
        path = self._into / clip.file
        return path.is_file() and path.stat().st_size == clip.bytes

    def hear(self, preview: Preview, source: Source) -> Audio:
        """Have a preview's audio: from before, else from its source; and judge it.

        Raises
        ------
        PreviewError
            The source cannot give it.
        """
        name = f"{preview.source}\n{preview.source_id}\n{preview.duration_seconds}"
        with self._lock:
            lock = self._locks[name]
        with lock:  # two artists may share a recording
            path = self._path("heard", name)
            known = _read(path, AUDIO)
            if known and (known.fault or self.holds(known)):
                return known
            staged = self._path("audio", name).with_suffix("")
            if not staged.is_file():
                staged.parent.mkdir(parents=True, exist_ok=True)
                source.download(preview, staged)
            audio = self._judged(staged)
            write_text(path, json.dumps(asdict(audio)))
            staged.unlink()
            return audio

    def _judged(self, staged: Path) -> Audio:
        fault = find_fault(staged, self._usable)
        if fault:
            return Audio(fault=fault)
        content, status = sha256(staged), staged.stat()
        file = f"clips/{content[:16]}{audio_suffix(staged)}"
        with self._lock, replacing(self._into / file) as temporary:
            shutil.copyfile(staged, temporary)
        fetched = datetime.fromtimestamp(status.st_mtime, UTC).isoformat(timespec="seconds")
        return Audio(file=file, bytes=status.st_size, sha256=content, fetched=fetched)

    def _path(self, kind: str, name: str) -> Path:
        key = hashlib.sha256(name.encode("utf-8", "surrogatepass")).hexdigest()[:32]
        return self._folder / kind / f"{key}.json"


def find_fault(path: Path, usable: ClipsParams) -> str:
    """Why a file of audio cannot be used; "" if it can. The stage clips judges alike."""
    try:
        y = load_waveform(path, HEARD_SR, HEARD_SECONDS)
    except ClipError as error:
        return str(error).removeprefix(f"{path}: ").partition(";")[0]
    seconds = len(y) / HEARD_SR
    if seconds < usable.min_seconds:
        return f"is short ({seconds:.1f} s)"
    dbfs = 10 * math.log10(max(float(np.square(y, dtype=np.float64).mean()), 1e-20))
    return f"is silent ({dbfs:.0f} dBFS)" if dbfs < usable.min_dbfs else ""


def _read(path: Path, kind: TypeAdapter[T]) -> T | None:
    """What a file of the journal holds; None if it is absent, or of another version."""
    try:
        return kind.validate_json(path.read_bytes())
    except (OSError, ValidationError):
        return None

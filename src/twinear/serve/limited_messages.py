"""What the service and its processes of limits say to each other."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from twinear.model.scorer import Scorer


@dataclass(frozen=True, kw_only=True)
class NamedFile:
    """A file, and what errors call it."""

    path: Path
    name: str


@dataclass(frozen=True, kw_only=True)
class EncodeClips:
    """Encode files; none may be longer than `max_seconds`."""

    files: tuple[NamedFile, ...]
    max_seconds: float


@dataclass(frozen=True, kw_only=True)
class ExplainPair:
    """Explain why two files sound alike."""

    first: NamedFile
    second: NamedFile


@dataclass(frozen=True, kw_only=True)
class Prepare:
    """Get ready: load what the scorer needs."""


Work = EncodeClips | ExplainPair | Prepare


@dataclass(frozen=True, kw_only=True)
class Job:
    """Work, the seconds of CPU time that it may take, and its scorer.

    `scorer` is None where the process has it, by its SHA-256, from the job before.
    """

    work: Work
    cpu_seconds: int
    scorer_sha256: str
    scorer: Scorer | None


@dataclass(frozen=True, kw_only=True)
class EncodedClips:
    """Clips that were encoded, each content once: their positions, seconds, and embeddings."""

    positions: tuple[int, ...]
    seconds: tuple[float, ...]
    embeddings: bytes  # (clips, units), float32


@dataclass(frozen=True, kw_only=True)
class Failure:
    """Why it could not be done; `kind` is `not_audio`, `unusable`, or `too_large`."""

    kind: str
    place: str
    found: str
    expected: str = ""
    remedy: str = ""


@dataclass(frozen=True, kw_only=True)
class Reply:
    """What a process answers: one of these, or that it is prepared."""

    encoded: EncodedClips | None = None
    explained: dict[str, Any] | None = None  # an `explanation.ClipExplanation`
    failure: Failure | None = None

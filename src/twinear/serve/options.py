"""What `twinear serve` is told: where the catalogue and the audio are, and what it may cost."""

from dataclasses import dataclass, field
from ipaddress import ip_address
from pathlib import Path

TOKEN = "TWINEAR_TOKEN"  # noqa: S105  # the names of environment variables
SUBSONIC_USER, SUBSONIC_PASSWORD = "TWINEAR_SUBSONIC_USER", "TWINEAR_SUBSONIC_PASSWORD"


@dataclass(frozen=True, kw_only=True)
class UploadLimits:
    """What an upload may cost.

    Attributes
    ----------
    max_bytes
        Of one request, all its clips together.
    max_clips
        In one request.
    max_seconds
        Of a clip, as its tags or its audio say.
    at_once
        Requests whose clips are received or decoded at the same time; the next one is refused.
    receive_seconds
        Until the whole request has arrived.
    cpu_seconds, wall_seconds
        For decoding the clips of one request, or for explaining one pair.
    memory_bytes
        That a decoding process may take beyond what it has when it starts.
    """

    max_bytes: int = 64_000_000
    max_clips: int = 10
    max_seconds: float = 1800.0
    at_once: int = 4
    receive_seconds: float = 120.0
    cpu_seconds: int = 20
    wall_seconds: float = 120.0
    memory_bytes: int = 2_000_000_000


@dataclass(frozen=True, kw_only=True)
class ServeOptions:
    """How the service runs.

    Attributes
    ----------
    catalogue, data, reports
        Folders of the pipeline; they may appear, and be replaced, while it runs.
    model
        `models:/…`: serve only a catalogue of this registered scorer; "": any.
    music
        A folder of the user's own music, whose recordings may be played; None: none.
    library
        Where the encoded recordings of `music` are kept.
    items
        The table of recordings that media servers know, which `twinear library sync` writes.
    token
        What a client has to send; "": nothing.
    subsonic_user, subsonic_password
        With which OpenSubsonic clients log in; "": they need the token as API key, if there is one.
    host
        The address it listens at.
    workers
        Processes that decode.
    poll_seconds
        Between two looks at whether the catalogue was replaced.
    """

    catalogue: Path = Path("artifacts/catalogue")
    data: Path = Path("data")
    reports: Path = Path("reports")
    model: str = ""
    music: Path | None = None
    library: Path = Path("artifacts/library.sqlite")
    items: Path = Path("artifacts/library.csv")
    token: str = field(default="", repr=False)
    subsonic_user: str = ""
    subsonic_password: str = field(default="", repr=False)
    host: str = "127.0.0.1"
    workers: int = 2
    poll_seconds: float = 1.0
    limits: UploadLimits = field(default_factory=UploadLimits)


def is_loopback(host: str) -> bool:
    """Whether only this machine reaches an address.

    Examples
    --------
    >>> [is_loopback(host) for host in ("127.0.0.1", "localhost", "::1", "0.0.0.0", "twinear.org")]
    [True, True, True, False, False]
    """
    if host == "localhost":
        return True
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return False

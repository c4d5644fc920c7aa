"""Which audio may be played, and where it is.

A clip, or a recording of the user's music, is named by an opaque id: a digest of its file, by which
it is found again in another build of the catalogue, and its row, by which it is found at once. Only
files that the catalogue or the library names can be asked for, and of these only what really lies
in the data folder, in the DVC cache that the data folder is checked out from, or in the user's own
music.
"""

import hashlib
import hmac
import re
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from twinear.clips.roots import locate
from twinear.serve.auth import is_same

CLIP_ID = re.compile(r"([0-9a-f]{16})([0-9a-f]{1,12})")
SIGNED_DIGITS = 32


def clip_id(file: str, row: int) -> str:
    """Name a clip without its path.

    Examples
    --------
    >>> clip_id("clips/a.mp3", 26)
    'a3ba4636b81b1f761a'
    """
    return f"{digest_of(file)}{row:x}"


def digest_of(file: str) -> str:
    """Compute the digest of a file's name, 16 digits."""
    return hashlib.blake2b(file.encode(errors="surrogatepass"), digest_size=8).hexdigest()


def parse_clip_id(text: str) -> tuple[str, int] | None:
    """Split an id into digest and row; None if the text is not an id."""
    match = CLIP_ID.fullmatch(text)
    return (match[1], int(match[2], 16)) if match else None


@dataclass(frozen=True, kw_only=True)
class AudioFiles:
    """The folders of audio that may be played.

    Attributes
    ----------
    data
        The folder that the clips' files are relative to.
    roots
        The folders, resolved, in which a file must really lie: links out of them are not followed.
    token
        Of the service. With it, an address of audio carries a signature: neither players nor the
        audio element of a page can send a token.
    """

    data: Path
    roots: tuple[Path, ...]
    token: str = ""

    def locate(self, file: str) -> Path | None:
        """Find the file of a clip; None if it is not there or may not be played."""
        path = locate(self.data / file, self.roots)
        return path if path is not None and path.is_file() else None

    def address(self, clip: str, kind: Literal["clips", "recordings"] = "clips") -> str:
        """Give the address of the audio of a clip or a recording, by its id."""
        key = f"?key={self._sign(clip)}" if self.token else ""
        return f"/api/v1/{kind}/{clip}/audio{key}"

    def is_signed(self, clip: str, key: str) -> bool:
        """Whether `key` is the signature of this clip's address."""
        return bool(self.token) and is_same(key, self._sign(clip))

    def _sign(self, clip: str) -> str:
        message = f"audio {clip}".encode()
        return hmac.new(self.token.encode(), message, "sha256").hexdigest()[:SIGNED_DIGITS]

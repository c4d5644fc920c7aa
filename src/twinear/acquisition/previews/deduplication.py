"""When two previews are the same recording, and which kind of file holds the audio.

A recording is sold under several titles: "Help!", "Help! - Remastered 2009", "Help! (Mono)". Marks
that name another edition of the same recording are dropped; marks that name another recording
(live, remix, acoustic, demo) stay.
"""

import re
from pathlib import Path

from twinear.artists.identity import normalise_name, strip_featured

EDITION = re.compile(
    r"\b(re-?master\w*|mono|stereo|deluxe|bonus|anniversary|expanded|explicit|clean|edition"
    r"|(album|single|original|lp|radio) (version|edit|mix)|feat|ft|featuring|with|from)\b",
    re.IGNORECASE,
)
ANOTHER = re.compile(r"\b(live|remix|acoustic|demo|instrumental|karaoke)\b", re.IGNORECASE)
MARK = re.compile(r"\([^()]*\)|\[[^\[\]]*\]|\s[-–—]\s.*$")
SAME_SECONDS = 2.0

# first bytes of a file -> its suffix
KINDS = (
    (rb"ID3|\xff[\xe2\xe3\xf2\xf3\xfa\xfb]", ".mp3"),
    (rb"\xff[\xf0\xf1\xf8\xf9]", ".aac"),
    (rb".{4}ftyp", ".m4a"),
    (rb"OggS", ".ogg"),
    (rb"fLaC", ".flac"),
    (rb"RIFF.{4}WAVE", ".wav"),
    (rb"FORM.{4}AIF", ".aiff"),
    (rb"\x1a\x45\xdf\xa3", ".mka"),
    (rb"caff", ".caf"),
)


def plain_title(title: str) -> str:
    """Reduce a title to what the editions of one recording share; "" for a blank one.

    Examples
    --------
    >>> plain_title("Help! (2009 Remaster)")
    'help'
    >>> plain_title("Help! - Live at the BBC")
    'help live at the bbc'
    """

    def drop_edition(mark: re.Match[str]) -> str:
        is_edition = EDITION.search(mark[0]) and not ANOTHER.search(mark[0])
        return " " if is_edition else mark[0]

    reduced = strip_featured(MARK.sub(drop_edition, title))
    return normalise_name(reduced) or normalise_name(title)


def same_recording(title: str, seconds: float, other: str, other_seconds: float) -> bool:
    """Whether two titles of an artist are the same recording; 0 seconds for an unknown length."""
    if not plain_title(title) or plain_title(title) != plain_title(other):
        return False
    return 0 in (seconds, other_seconds) or abs(seconds - other_seconds) <= SAME_SECONDS


def audio_suffix(path: Path) -> str:
    """The suffix for a file of audio by its content, whatever its name is."""
    with path.open("rb") as file:
        start = file.read(16)
    return next((suffix for kind, suffix in KINDS if re.match(kind, start, re.DOTALL)), ".audio")

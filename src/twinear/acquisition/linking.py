"""Audio in the data folder that shares its bytes with the original, where that is safe.

A file system that can clone files (Btrfs, XFS) shares them until one is changed: nothing that
happens to one file ever shows in the other. Elsewhere a hard link is a second name of the same
file. That is safe with DVC's default, which makes files of its own when data is added. With
`cache.type: hardlink` DVC would make the original its cache and take away the right to write it:
then files are copied.
"""

import os
import subprocess
import sys
from contextlib import suppress
from pathlib import Path

if sys.platform != "win32":
    import fcntl

CLONE = 0x40049409  # Linux: FICLONE


def may_link(into: Path) -> bool:
    """Whether DVC, as configured for a data folder, leaves hard-linked originals as they are."""
    folder = next(parent for parent in into.absolute().parents if parent.is_dir())
    command = [sys.executable, "-m", "dvc", "config", "cache.type"]
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False)  # noqa: S603
    return "hardlink" not in done.stdout


def link(path: Path, target: Path) -> bool:
    """Make `target` share the bytes of `path`; False where the file system cannot."""
    if sys.platform == "linux":
        with suppress(OSError):
            with path.open("rb") as source, target.open("xb") as clone:
                fcntl.ioctl(clone, CLONE, source.fileno())
            return True
        target.unlink(missing_ok=True)
    try:
        os.link(path.resolve(), target)
    except OSError:  # another file system, or one without links
        return False
    return True

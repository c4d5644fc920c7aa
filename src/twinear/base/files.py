"""Files that are whole or absent, never half-written.

Everything the project writes goes through `replacing`: it is written under a temporary name in
the same folder and renamed when complete, so that the last good file stays until then.
"""

import hashlib
import json
import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import asdict
from pathlib import Path, PurePath
from types import ModuleType

from twinear.base.errors import DataError

# folders and files of file managers, network drives, archives and trash, in lower case
SYSTEM = {"@eadir", "#recycle", "$recycle.bin", "system volume information", "thumbs.db"}
SYSTEM |= {"desktop.ini", "__macosx"}


@contextmanager
def replacing(path: Path) -> Iterator[Path]:
    """Give a temporary path beside `path` to write a file or a folder to, then put it in place.

    On any error the temporary is removed and what stood at `path` stays. A write that the
    system refuses (disk full, no permission) becomes a `DataError`.
    """
    path = path.resolve()
    temporary = path.with_name(f".{path.name}.{os.getpid()}.part")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        yield temporary
        if temporary.is_dir():
            old = path.with_name(f".{path.name}.{os.getpid()}.old")
            if path.exists():
                path.rename(old)
            temporary.rename(path)
            _remove(old)
        else:
            temporary.replace(path)
    except OSError as error:
        # The error is about writing if it names no file, the temporary, or its folder.
        named = [Path(name) for name in (error.filename, error.filename2) if isinstance(name, str)]
        if named and not any(
            each.is_relative_to(temporary) or each in temporary.parents for each in named
        ):
            raise
        here = Path.cwd()
        place = path.relative_to(here) if path.is_relative_to(here) else path
        found = f"could not be written ({error.strerror or error})"
        remedy = "free some space or fix the permissions and run again; what was there stays"
        raise DataError(place, found, remedy=remedy) from error
    finally:
        _remove(temporary)


def _remove(path: Path) -> None:
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path)
    else:
        with suppress(NotADirectoryError):
            path.unlink(missing_ok=True)


def write_text(path: Path, text: str) -> None:
    """Write UTF-8 text with a final newline, whole or not at all."""
    with replacing(path) as temporary:
        temporary.write_text(text.rstrip("\n") + "\n", encoding="utf-8")


def write_json(path: Path, value: object) -> None:
    """Write plain values and dataclasses of them as JSON, whole or not at all."""
    write_text(path, json.dumps(value, indent=2, ensure_ascii=False, default=asdict))


def require(path: Path, remedy: str) -> Path:
    """Return `path` if it is there and not an empty file, else raise `DataError`."""
    if not path.exists():
        raise DataError(path, "is missing", remedy=remedy)
    if path.is_file() and path.stat().st_size == 0:
        raise DataError(path, "is empty", remedy=remedy)
    return path


def is_system_file(relative: PurePath) -> bool:
    """Whether a path within a folder is the system's and never data: hidden, trash, thumbnails.

    Only Rockbox hides its log of listens.

    Examples
    --------
    >>> is_system_file(PurePath("Air/._Sexy Boy.mp3")), is_system_file(PurePath("Air/Sexy Boy.mp3"))
    (True, False)
    """
    parts = relative.parts[:-1] if relative.name == ".scrobbler.log" else relative.parts
    return any(part.startswith(".") or part.lower() in SYSTEM for part in parts)


def sha256(path: Path) -> str:
    """Compute the SHA-256 of a file's bytes, in hex."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def code_digest(*packages: ModuleType) -> str:
    """Hash the Python files of whole packages, so that a new file counts too."""
    digest = hashlib.sha256()
    for package in packages:
        for folder in package.__path__:
            for path in sorted(Path(folder).rglob("*.py")):
                digest.update(path.relative_to(folder).as_posix().encode() + path.read_bytes())
    return digest.hexdigest()

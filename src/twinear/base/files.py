"""Files that are whole or absent, never half-written.

Everything the project writes goes through `replacing`: it is written under a temporary name in
the same folder and renamed when complete, so that the last good file stays until then. The name
holds the process and its machine: what a process that was killed has left is removed by the next
one that writes to the folder.
"""

import hashlib
import json
import os
import platform
import re
import shutil
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import asdict
from functools import cache
from pathlib import Path, PurePath
from types import ModuleType

from twinear.base.errors import DataError

# folders and files of file managers, network drives, archives and trash, in lower case
SYSTEM = {"@eadir", "#recycle", "$recycle.bin", "system volume information", "thumbs.db"}
SYSTEM |= {"desktop.ini", "__macosx"}
# `.NAME.MACHINE-PROCESS.part`, and `.old` for what stood there: no other program's names
TEMPORARY = re.compile(r"\.(.+)\.([0-9a-f]{6})-([0-9]{1,10})\.(part|old)")


@contextmanager
def replacing(path: Path) -> Iterator[Path]:
    """Give a temporary path beside `path` to write a file or a folder to, then put it in place.

    On any error the temporary is removed and what stood at `path` stays. A write that the
    system refuses (disk full, no permission) becomes a `DataError`.
    """
    path = path.resolve()
    temporary = _temporary(path)
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        _tidy(path.parent)
        yield temporary
        if temporary.is_dir():
            old = temporary.with_suffix(".old")
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


@contextmanager
def working_folder(path: Path) -> Iterator[Path]:
    """Give an empty folder beside `path` for what is needed to make it; remove it at the end."""
    folder = _temporary(path.with_name(f"{path.name}.work"))
    folder.mkdir(parents=True)
    try:
        yield folder
    finally:
        _remove(folder)


def _temporary(path: Path) -> Path:
    return path.with_name(f".{path.name}.{_machine()}-{os.getpid()}.part")


@cache
def _machine() -> str:
    """A short name of this machine: process numbers of another one mean nothing here."""
    return hashlib.blake2b(platform.node().encode(errors="replace"), digest_size=3).hexdigest()


@cache  # a folder may hold many files: it is looked through once
def _tidy(folder: Path) -> None:
    """Remove from a folder what processes of this machine have left that were killed.

    One that was killed between the two renames of a folder leaves the last good one as `.old`: it
    is put back.
    """
    with suppress(OSError), os.scandir(folder) as entries:
        names = [entry.name for entry in entries if entry.name.endswith((".part", ".old"))]
        matches = [*filter(None, map(TEMPORARY.fullmatch, names))]
        if matches:
            import psutil  # a moment to import, and hardly ever needed
        for match in matches:
            name, machine, process, kind = match.groups()
            if machine != _machine() or psutil.pid_exists(int(process)):
                continue
            if kind == "old" and not (folder / name).exists():
                (folder / match[0]).rename(folder / name)
            else:
                _remove(folder / match[0])


def _remove(path: Path) -> None:
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path)
    elif os.path.lexists(path):  # on a read-only disk removing what is not there is an error too
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

"""A data set brought into the data folder: `into/listens/`, with `source.json` beside the files.

The archive is kept beside the data folder (`.data.fetch/`) while it comes, and removed when its
files are in place and checked. Files that are in place and intact are not fetched again.
"""

import hashlib
import json
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from shutil import copyfile
from typing import Any

from twinear.acquisition.datasets.archive import Taken, take_out
from twinear.acquisition.datasets.registry import Dataset
from twinear.acquisition.network.download import Patience, Progress, Wanted, download, forget
from twinear.acquisition.network.rate_limit import Clock
from twinear.base.errors import DataError
from twinear.base.files import replacing, sha256, write_text
from twinear.listens.readers.formats import REDIRECTS, SOURCE

try:
    import fcntl
except ImportError:  # Windows; there nobody is kept from fetching twice at once
    fcntl = None  # type: ignore[assignment]

ANEW = "it was removed: run it again to fetch it anew"


@dataclass(frozen=True, kw_only=True)
class DatasetReport:
    """What was brought.

    Parameters
    ----------
    fetched
        False if it was there already, intact.
    checked
        File -> against what: "md5", or "" where no checksum is published.
    """

    dataset: str
    folder: str
    fetched: bool
    files: dict[str, int]
    checked: dict[str, str]
    licence: str


def fetch_dataset(
    dataset: Dataset,
    into: Path,
    progress: Progress,
    clock: Clock,
    *,
    replace: bool = False,
    patience: Patience | None = None,
) -> DatasetReport:
    """Bring a data set into a data folder, whole or not at all.

    Parameters
    ----------
    replace
        Put it in place of other listens that are there.

    Raises
    ------
    DataError
        Other listens are there; what comes is not what is expected, or does not come.
    """
    listens = into / "listens"
    known = _intact(dataset, listens)
    if known:
        return _report(dataset, listens, known, fetched=False)
    _require_free(listens, replace)
    archive = into.absolute().with_name(f".{into.absolute().name}.fetch") / dataset.archive
    with _held(archive.parent):
        if not archive.is_file():
            wanted = Wanted(url=dataset.address, size=dataset.size, max_bytes=dataset.max_archive)
            download(wanted, archive, progress, clock, patience)
        taken = _put(dataset, archive, listens)
        forget(archive)
    return _report(dataset, listens, taken, fetched=True)


def _put(dataset: Dataset, archive: Path, listens: Path) -> dict[str, Taken]:
    """Check the archive, take its files out and put them in place of the folder."""
    with replacing(listens) as temporary:
        temporary.mkdir()
        with _forgotten_if_bad(archive):
            whole = _hashes(archive)
            _require_md5(archive, whole, dataset.md5)
            taken = take_out(archive, list(dataset.files), temporary, dataset.max_files)
            for name, file in taken.items():
                _require_md5(archive.with_name(name), file, dataset.files[name])
        source = _source(dataset, whole, taken)
        write_text(temporary / SOURCE, json.dumps(source, indent=2, ensure_ascii=False))
        if (listens / REDIRECTS).is_file():
            copyfile(listens / REDIRECTS, temporary / REDIRECTS)
    return taken


@contextmanager
def _forgotten_if_bad(archive: Path) -> Iterator[None]:
    try:
        yield
    except DataError:
        forget(archive)
        raise


def _require_md5(path: Path, found: Taken, md5: str) -> None:
    if md5 and found.md5 != md5:
        raise DataError(path.name, f"has md5 {found.md5}", expected=md5, remedy=ANEW)


def _hashes(path: Path) -> Taken:
    with path.open("rb") as file:
        md5 = hashlib.file_digest(file, lambda: hashlib.md5(usedforsecurity=False)).hexdigest()
    return Taken(bytes=path.stat().st_size, md5=md5, sha256=sha256(path))


def _source(dataset: Dataset, archive: Taken, taken: dict[str, Taken]) -> dict[str, Any]:
    """Where the files are from, what may be done with them, and what was checked."""
    return {
        "dataset": dataset.name,
        "url": f"{dataset.url}/{dataset.archive}",
        "licence": dataset.licence,
        "archive": asdict(archive) | {"published_md5": dataset.md5},
        "files": {
            name: asdict(file) | {"published_md5": dataset.files[name]}
            for name, file in taken.items()
        },
    }


def _intact(dataset: Dataset, listens: Path) -> dict[str, Taken]:
    """The files, if all are there and as they were published, or as they came; else none."""
    try:
        source = json.loads((listens / SOURCE).read_text(encoding="utf-8"))
        came = {name: Taken(**_values(source["files"][name])) for name in dataset.files}
        found = {name: _hashes(listens / name) for name in dataset.files}
    except (FileNotFoundError, ValueError, KeyError, TypeError):
        return {}
    published = all(found[name].md5 == md5 for name, md5 in dataset.files.items() if md5)
    return found if found == came and published else {}


def _values(recorded: dict[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in recorded.items() if name != "published_md5"}


def _require_free(listens: Path, replace: bool) -> None:
    there = sorted(path.name for path in listens.iterdir()) if listens.is_dir() else []
    others = [name for name in there if name != REDIRECTS]
    if others and not replace:
        found = f"holds {', '.join(others[:3])}{', …' if others[3:] else ''}"
        raise DataError(listens, found, remedy="replace it with --replace, or name another folder")


@contextmanager
def _held(folder: Path) -> Iterator[None]:
    """Keep others from fetching to the same place at the same time."""
    folder.mkdir(parents=True, exist_ok=True)
    with (folder / "datasets.lock").open("w") as file:
        try:
            if fcntl:
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            found = "another fetch is under way"
            raise DataError(folder, found, remedy="wait until it has ended") from None
        yield


def _report(
    dataset: Dataset, listens: Path, taken: dict[str, Taken], *, fetched: bool
) -> DatasetReport:
    return DatasetReport(
        dataset=dataset.name,
        folder=str(listens),
        fetched=fetched,
        files={name: file.bytes for name, file in taken.items()},
        checked={name: "md5" if dataset.files[name] else "" for name in taken},
        licence=dataset.licence,
    )

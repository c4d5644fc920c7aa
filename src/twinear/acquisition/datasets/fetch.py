"""Fetch a data set into the data folder: `into/listens/`, with `source.json` beside the files.

The archive is downloaded beside the data folder (`.data.fetch/`), and removed when its files are in
place and checked. Files that are in place and intact are not fetched again.
"""

import json
from dataclasses import asdict, dataclass
from pathlib import Path
from shutil import copyfile

from twinear.acquisition.croissant import write_description
from twinear.acquisition.datasets.archive import ExtractedFile, extract_files, hash_file
from twinear.acquisition.datasets.registry import Dataset
from twinear.acquisition.lock import exclusive
from twinear.acquisition.network.download import (
    DownloadPolicy,
    DownloadProgress,
    RemoteFile,
    download,
    remove_download,
)
from twinear.acquisition.network.rate_limit import SystemClock
from twinear.base.errors import DataError
from twinear.base.files import replacing, write_json
from twinear.listens.readers.formats import REDIRECTS, SOURCE

REFETCH = "it was removed: run it again to download it again"


@dataclass(frozen=True, kw_only=True)
class DatasetReport:
    """What was fetched."""

    dataset: str
    folder: str
    fetched: bool  # False if it was there already, intact
    files: dict[str, int]  # file -> size in bytes
    checked: dict[str, str]  # file -> "md5", or "" where no checksum is published
    licence: str


def fetch_dataset(
    dataset: Dataset,
    into: Path,
    progress: DownloadProgress,
    clock: SystemClock,
    *,
    replace: bool = False,
    policy: DownloadPolicy | None = None,
) -> DatasetReport:
    """Fetch a data set into a data folder, whole or not at all.

    `DataError` if other listens are there, not to be replaced, another fetch is running, or the
    archive is not as published; `SourceError` if the download failed.
    """
    listens = into / "listens"
    files = _read_intact(dataset, listens)
    fetched = not files
    if fetched:
        names = sorted(path.name for path in listens.iterdir()) if listens.is_dir() else []
        others = [name for name in names if name != REDIRECTS]
        if others and not replace:
            found = f"holds {', '.join(others[:3])}{', …' if others[3:] else ''}"
            remedy = "replace it with --replace, or name another folder"
            raise DataError(listens, found, remedy=remedy)
        archive = into.absolute().with_name(f".{into.absolute().name}.fetch") / dataset.archive
        with exclusive(archive.with_name("datasets.lock")):
            if not archive.is_file():
                url, size = dataset.address, dataset.size
                remote = RemoteFile(url=url, size=size, max_bytes=dataset.max_archive)
                download(remote, archive, progress, clock, policy)
            files = _install(dataset, archive, listens)
            remove_download(archive)
            write_description(into)
    return DatasetReport(
        dataset=dataset.name,
        folder=str(listens),
        fetched=fetched,
        files={name: file.bytes for name, file in files.items()},
        checked={name: "md5" if dataset.files[name] else "" for name in files},
        licence=dataset.licence,
    )


def _install(dataset: Dataset, archive: Path, listens: Path) -> dict[str, ExtractedFile]:
    """Check the archive, extract its files and put them in place of the folder."""
    with replacing(listens) as temporary:
        temporary.mkdir()
        try:
            whole = hash_file(archive)
            _require_md5(archive.name, whole, dataset.md5)
            files = extract_files(archive, list(dataset.files), temporary, dataset.max_files)
            for name, file in files.items():
                _require_md5(name, file, dataset.files[name])
        except DataError:
            remove_download(archive)
            raise
        source = {
            "dataset": dataset.name,
            "url": f"{dataset.url}/{dataset.archive}",
            "licence": dataset.licence,
            "archive": asdict(whole) | {"published_md5": dataset.md5},
            "files": {
                name: asdict(file) | {"published_md5": dataset.files[name]}
                for name, file in files.items()
            },
        }
        write_json(temporary / SOURCE, source)
        if (listens / REDIRECTS).is_file():
            copyfile(listens / REDIRECTS, temporary / REDIRECTS)
    return files


def _require_md5(name: str, file: ExtractedFile, md5: str) -> None:
    if md5 and file.md5 != md5:
        raise DataError(name, f"has md5 {file.md5}", expected=md5, remedy=REFETCH)


def _read_intact(dataset: Dataset, listens: Path) -> dict[str, ExtractedFile]:
    """The files, if all are there as recorded, and as published where that is known; else {}."""
    try:
        source = json.loads((listens / SOURCE).read_text(encoding="utf-8"))
        recorded = {
            name: ExtractedFile(
                **{key: value for key, value in file.items() if key != "published_md5"}
            )
            for name, file in source["files"].items()
        }
        files = {name: hash_file(listens / name) for name in dataset.files}
    except (FileNotFoundError, ValueError, KeyError, TypeError, AttributeError):
        return {}
    published = all(files[name].md5 == md5 for name, md5 in dataset.files.items() if md5)
    return files if files == recorded and published else {}

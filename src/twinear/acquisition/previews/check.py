"""Whether a data folder's clips are what `clips.csv` says: there, whole, the same, and audio.

A table of vectors among them must be readable, and have the clips.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from twinear.acquisition.previews.provenance import read_rows
from twinear.base.errors import ClipError, DataError
from twinear.base.files import require, sha256
from twinear.clips.waveform import load_waveform
from twinear.compute.pool import Progress, spread
from twinear.spectrograms.embedding_table import TABLE, vectors_of

HEARD_SR = 22050
HEARD_SECONDS = 300.0
SHOWN = 50  # faults, for people


@dataclass(frozen=True, kw_only=True)
class CheckReport:
    """What was found.

    Parameters
    ----------
    faults
        Kind (missing, size, sha256, unreadable, unnamed, vectors) -> place and finding of each.
    """

    listed: int
    files: int
    faults: dict[str, list[dict[str, str]]]


def check_clips(data_folder: Path, progress: Progress, workers: int) -> CheckReport:
    """Check every row of `clips.csv`, and every file of `clips/`.

    Sizes and hashes are checked where the table has them.

    Raises
    ------
    DataError
        The table is missing or not readable.
    """
    table = require(data_folder / "clips.csv", "fetch or import clips first")
    rows = read_rows(table)
    judge = partial(_judge, data_folder=data_folder)
    crashed = [("unreadable", "crashes the decoder")]
    findings = spread(judge, rows, workers, crashed)
    faults: dict[str, list[dict[str, str]]] = {}
    for row, found in zip(progress(rows), findings, strict=True):
        for kind, what in found:
            entry = {"place": f"{table}: {row['file']}", "found": what}
            faults.setdefault(kind, []).append(entry)
    for file in _unnamed(data_folder, {row["file"] for row in rows}):
        entry = {"place": file, "found": "no row of clips.csv names it"}
        faults.setdefault("unnamed", []).append(entry)
    if wrong := _wrong_vectors(data_folder, rows):
        faults["vectors"] = [{"place": str(data_folder / TABLE), "found": wrong}]
    files = {row["file"] for row in rows}
    return CheckReport(listed=len(rows), files=len(files), faults=faults)


def _judge(row: dict[str, str], data_folder: Path) -> list[tuple[str, str]]:
    path = data_folder / row["file"]
    if not path.is_file():
        return [("missing", "is not there")]
    found = []
    size, expected = path.stat().st_size, row.get("bytes", "")
    if expected and expected != str(size):
        found.append(("size", f"has {size} bytes, expected {expected}"))
    content, expected = sha256(path), row.get("sha256", "")
    if expected and expected != content:
        found.append(("sha256", f"has sha256 {content[:16]}…, expected {expected[:16]}…"))
    try:
        load_waveform(path, HEARD_SR, HEARD_SECONDS)
    except ClipError as error:
        found.append(("unreadable", str(error).removeprefix(f"{path}: ").partition(";")[0]))
    return found


def _wrong_vectors(data_folder: Path, rows: list[dict[str, str]]) -> str:
    path = data_folder / TABLE
    if not path.exists():
        return ""
    files = sorted({row["file"] for row in rows if (data_folder / row["file"]).is_file()})
    try:
        vectors_of(files, [sha256(data_folder / file) for file in files], path)
    except DataError as error:
        return str(error).removeprefix(f"{path}: ").partition(";")[0]
    return ""


def _unnamed(data_folder: Path, named: set[str]) -> Iterator[str]:
    """Files under `clips/` that no row names, hidden ones and leftovers included."""
    for path in sorted((data_folder / "clips").rglob("*")):
        file = path.relative_to(data_folder).as_posix()
        if path.is_file() and file not in named | {TABLE}:
            yield file


def format_check(report: CheckReport) -> str:
    """The report as lines: a summary, then each fault."""
    faults = [
        f"{kind}: {entry['place']}: {entry['found']}"
        for kind, entries in report.faults.items()
        for entry in entries
    ]
    summary = f"{report.listed} rows, {report.files} files, {len(faults)} faults"
    more = [f"… and {len(faults) - SHOWN} more; --json shows all"] if len(faults) > SHOWN else []
    return "\n".join([summary, *faults[:SHOWN], *more])

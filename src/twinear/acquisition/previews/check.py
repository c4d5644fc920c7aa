"""Check that the clips of a data folder are as `clips.csv` says: present, unchanged, and audio.

A table of embeddings among them must be readable, and have the clips.
"""

from dataclasses import dataclass
from functools import partial
from pathlib import Path

from twinear.acquisition.previews.journal import reason
from twinear.acquisition.previews.provenance import read_rows
from twinear.base.errors import ClipError, DataError
from twinear.base.files import is_system_file, require, sha256
from twinear.clips.waveform import load_waveform
from twinear.compute.pool import Progress, map_in_processes
from twinear.spectrograms.embedding_table import TABLE, read_clip_embeddings

CHECK_SR = 22050
CHECK_SECONDS = 300.0
PART_SUFFIX = ".part"  # of what `replacing` writes to
MAX_SHOWN = 50  # faults in the text for people


@dataclass(frozen=True, kw_only=True)
class CheckReport:
    """What was found."""

    listed: int
    files: int
    # missing, size, sha256, unreadable, unnamed or embeddings -> place and finding of each fault
    faults: dict[str, list[dict[str, str]]]


def check_clips(data_folder: Path, progress: Progress, workers: int) -> CheckReport:
    """Check every row of `clips.csv`, and every file of `clips/`.

    Sizes and hashes are checked where the table has them. `DataError` if it cannot be read.
    """
    table = require(data_folder / "clips.csv", "fetch or import clips first")
    rows = read_rows(table)
    files = {row["file"] for row in rows}
    check_clip = partial(_faults_of_clip, data_folder=data_folder)
    crashed = [("unreadable", "crashes the decoder")]
    faults: dict[str, list[dict[str, str]]] = {}

    def add(kind: str, place: str, found: str) -> None:
        faults.setdefault(kind, []).append({"place": place, "found": found})

    findings = map_in_processes(check_clip, rows, workers, crashed)
    for row, clip_faults in zip(progress(rows), findings, strict=True):
        for kind, found in clip_faults:
            add(kind, f"{table}: {row['file']}", found)
    for path in sorted((data_folder / "clips").rglob("*")):
        relative = path.relative_to(data_folder)
        file = relative.as_posix()
        if is_system_file(relative) and path.suffix != PART_SUFFIX:  # what a fetch has left counts
            continue
        if path.is_file() and file not in files | {TABLE}:
            add("unnamed", file, "no row of clips.csv names it")
    vectors = data_folder / TABLE
    if vectors.exists():
        present = sorted(file for file in files if (data_folder / file).is_file())
        try:
            read_clip_embeddings(present, [sha256(data_folder / file) for file in present], vectors)
        except DataError as error:
            add("embeddings", str(vectors), reason(error, vectors))
    return CheckReport(listed=len(rows), files=len(files), faults=faults)


def _faults_of_clip(row: dict[str, str], data_folder: Path) -> list[tuple[str, str]]:
    """Kind and finding of each fault of a clip."""
    path = data_folder / row["file"]
    if not path.is_file():
        return [("missing", "is not there")]
    faults = []
    size, expected = path.stat().st_size, row.get("bytes", "")
    if expected and expected != str(size):
        faults.append(("size", f"has {size} bytes, expected {expected}"))
    content, expected = sha256(path), row.get("sha256", "")
    if expected and expected != content:
        faults.append(("sha256", f"has sha256 {content[:16]}…, expected {expected[:16]}…"))
    try:
        load_waveform(path, CHECK_SR, CHECK_SECONDS)
    except ClipError as error:
        faults.append(("unreadable", reason(error, path)))
    return faults


def format_check(report: CheckReport) -> str:
    """The report as lines: a summary, then each fault."""
    faults = [
        f"{kind}: {entry['place']}: {entry['found']}"
        for kind, entries in report.faults.items()
        for entry in entries
    ]
    summary = f"{report.listed} rows, {report.files} files, {len(faults)} faults"
    n_more = len(faults) - MAX_SHOWN
    more = [f"… and {n_more} more; --json shows all"] if n_more > 0 else []
    return "\n".join([summary, *faults[:MAX_SHOWN], *more])

"""Bring the workspace back where a retraining comes to nothing.

DVC pins the data and replaces results as soon as a stage has run, before anyone has judged them.
What is blocked or refused must not be committed by mistake, nor be served. So the pins (`data.dvc`,
`dvc.lock`) and the reports are copied before, and put back; the artefacts come back from DVC's
cache, as the pins name them. The data folder is never touched: new data are someone's work.
"""

import shutil
import tempfile
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from twinear.base.files import replacing
from twinear.retraining.subprocesses import ProgramResult


@contextmanager
def restorable(
    pins: Sequence[Path], reports: Path, run: Callable[..., ProgramResult]
) -> Iterator[Callable[[], str]]:
    """Remember pins and reports; give a function that brings them and the artefacts back.

    It returns what the workspace holds then, in a sentence. Files of the reports that are new are
    removed, so whatever is to stay there must be written afterwards.
    """
    with tempfile.TemporaryDirectory() as folder:
        before = Path(folder) / "reports"
        pinned = {path: path.read_bytes() if path.exists() else None for path in pins}
        if reports.exists():
            shutil.copytree(reports, before)

        def restore() -> str:
            for path, content in pinned.items():
                _put_back(path, content)
            names = {
                path.relative_to(root)
                for root in (before, reports)
                for path in root.rglob("*")
                if path.is_file()
            }
            for name in sorted(names):
                kept = before / name
                _put_back(reports / name, kept.read_bytes() if kept.exists() else None)
            brought = run("dvc", "checkout", "--force", "dvc.yaml")
            if brought.status == 0:
                return "The workspace is as it was before."
            return (
                "Data pins and reports are as they were before; the artefacts of before are not in "
                "DVC's cache: run 'dvc pull' or 'dvc repro'."
            )

        yield restore


def _put_back(path: Path, content: bytes | None) -> None:
    """Write the content of before, where it is another; None: the file was not there."""
    if content is None:
        path.unlink(missing_ok=True)
    elif not path.exists() or path.read_bytes() != content:
        with replacing(path) as temporary:
            temporary.write_bytes(content)

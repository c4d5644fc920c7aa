"""Artefacts without their checksums, as somebody else would write them."""

from pathlib import Path

from twinear.base.checksums import CHECKSUMS


def forget_checksums(folder: Path) -> None:
    """Remove the checksums, so that what else a reader checks is seen."""
    for path in folder.rglob(CHECKSUMS):
        path.unlink()

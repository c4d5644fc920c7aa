"""The project's code, to be changed."""

import shutil
from pathlib import Path
from types import ModuleType

import pytest


def copy_package(package: ModuleType, folder: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Let the files of a package be those of a copy in `folder`, which a test may change."""
    (original,) = package.__path__
    copied = shutil.copytree(original, folder / "package")
    monkeypatch.setattr(package, "__path__", [str(copied)])
    return copied

"""The built documentation."""

import sys
from pathlib import Path

import pytest

from tests.conftest import ROOT, Project


@pytest.fixture(scope="session")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The pages as `make docs` builds them, strictly: a warning is an error."""
    folder = tmp_path_factory.mktemp("site")
    environment = {"PYTHONPATH": str(ROOT / "src"), "NO_MKDOCS_2_WARNING": "1"}
    settings = [f"{name}={value}" for name, value in environment.items()]
    mkdocs = (str(Path(sys.executable).parent / "mkdocs"), "build", "--strict", "--quiet")
    Project(folder=ROOT).must("env", *settings, *mkdocs, "--site-dir", str(folder))
    return folder

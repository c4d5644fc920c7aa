"""`dvc` in this process: a process of its own would take a second to import it."""

import io
import warnings
from contextlib import chdir, redirect_stdout
from pathlib import Path

import pytest


def run_dvc(folder: Path, *words: str) -> str:
    """Run a command line of DVC that must succeed in a folder; its standard output."""
    from dvc.cli import main

    with (
        chdir(folder),
        redirect_stdout(io.StringIO()) as printed,
        pytest.MonkeyPatch.context() as patch,
        warnings.catch_warnings(),
    ):
        warnings.simplefilter("ignore")  # DVC's own
        patch.setenv("DVC_NO_ANALYTICS", "true")
        assert main(list(words)) == 0, words
    return printed.getvalue()

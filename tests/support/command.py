"""`twinear` in this process, as its program would run it."""

import sys
from dataclasses import dataclass

import pytest

from twinear.cli.main import main


@dataclass(frozen=True, kw_only=True)
class Ended:
    """What a program leaves when it has ended."""

    status: int
    stdout: str
    stderr: str


def run_twinear(capsys: pytest.CaptureFixture[str], *words: str) -> Ended:
    """Run a command line in the current folder and environment."""
    capsys.readouterr()  # what was printed before
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(sys, "argv", ["twinear", *words])
        with pytest.raises(SystemExit) as ended:
            main()
    printed = capsys.readouterr()
    return Ended(status=int(ended.value.code or 0), stdout=printed.out, stderr=printed.err)

"""Programs that retraining runs: their output, their errors, and a program that is missing."""

import sys

import pytest

from twinear.base.errors import TwinearError
from twinear.retraining.subprocesses import run_program


def test_output_and_one_line_errors_are_kept_with_the_status() -> None:
    code = "import sys; print('one'); print('error: a.csv: is missing'); sys.exit(3)"
    done = run_program(sys.executable, "-c", code)
    assert done.status == 3
    assert done.output == "one\nerror: a.csv: is missing"
    assert done.reason == "a.csv: is missing"


def test_without_dvc_the_message_names_the_extra(
    monkeypatch: pytest.MonkeyPatch, tmp_path: object
) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(TwinearError, match=r"dvc: is not installed.*twinear\[dvc\]"):
        run_program("dvc", "repro")

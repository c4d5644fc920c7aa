"""Figures of benchmarks that the documentation quotes are those of the last recorded run."""

import re
from pathlib import Path

import pytest

from tests.conftest import ROOT
from tests.docs.blocks import PAGES

RECORDED = ROOT / "benchmarks" / "recorded"
QUOTED = re.compile(r"^<!-- recorded: ([\w-]+) -->\n(.*?)^<!-- end -->", re.DOTALL | re.MULTILINE)


def quotations(page: Path) -> list[tuple[str, list[str]]]:
    """The name of the record and the lines of each quotation of a page."""
    found = QUOTED.findall(page.read_text(encoding="utf-8"))
    return [(name, [line for line in lines.splitlines() if line]) for name, lines in found]


@pytest.mark.parametrize("page", [page for page in PAGES if quotations(page)], ids=str)
def test_quoted_figures_are_those_of_the_last_recorded_run(page: Path) -> None:
    for name, lines in quotations(page):
        recorded = (RECORDED / f"{name}.txt").read_text(encoding="utf-8").splitlines()
        assert lines
        assert [line for line in lines if line not in recorded] == []


def test_every_record_is_of_a_benchmark_and_is_quoted() -> None:
    quoted = {name for page in PAGES for name, _ in quotations(page)}
    assert quoted == {path.stem for path in RECORDED.glob("*.txt")}
    for name in quoted:
        command = (RECORDED / f"{name}.txt").read_text(encoding="utf-8").splitlines()[0]
        module = re.fullmatch(r"\$ python -m benchmarks\.(\w+)( .*)?", command)
        assert module, command
        assert (ROOT / "benchmarks" / f"{module[1]}.py").is_file()

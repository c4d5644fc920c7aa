"""Which stages each kind of change touches, by DVC itself; the same inputs give the same scorer."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from dvc.repo import Repo

from tests.conftest import Project, clone
from twinear.base.files import sha256
from twinear.base.params import STAGES

pytestmark = pytest.mark.filterwarnings("ignore")  # DVC's own


@dataclass(frozen=True, kw_only=True)
class Change:
    """A text that is added to a file of the project, or put in the place of another."""

    file: str
    new: str = "# changed\n"
    old: str = ""

    def of(self, text: str) -> str:
        """The file's text with the change."""
        if not self.old:
            return text + self.new
        assert text.count(self.old) == 1
        return text.replace(self.old, self.new)


def set_param(old: str, new: str) -> Change:
    return Change(file="params.yaml", old=old, new=new)


FROM_TRAINING = ("training", "catalogue", "ranking", "report")
CHANGES: dict[str, tuple[Change, tuple[str, ...]]] = {
    "the README": (Change(file="README.md"), ()),
    "a test": (Change(file="tests/model/test_network.py"), ()),
    "the code of promotion": (Change(file="src/twinear/retraining/promotion_rule.py"), ()),
    "the rule of promotion": (set_param("margin: 0.05", "margin: 0.04"), ()),
    "the prose of the report": (Change(file="src/twinear/report/wording.py"), ("report",)),
    "the report's params": (set_param("n_suggestions: 5", "n_suggestions: 4"), ("report",)),
    "the judging": (set_param("n_bootstrap: 2000", "n_bootstrap: 1999"), ("ranking", "report")),
    "training's params": (set_param("patience: 30", "patience: 29"), FROM_TRAINING),
    "training's code": (Change(file="src/twinear/training/training.py"), FROM_TRAINING),
    "the split": (set_param("min_test: 5", "min_test: 4"), ("split", *FROM_TRAINING)),
    "the front end": (
        set_param("hop_length: 512 ", "hop_length: 511 "),
        ("spectrograms", "split", *FROM_TRAINING),
    ),
    "the clips": (Change(file="data/clips.csv", new="\n"), STAGES[1:]),
    "the listens": (Change(file="data/listens/usersha1-profile.tsv", new="\n"), STAGES),
}


@pytest.fixture(scope="module")
def project(finished: Project, tmp_path_factory: pytest.TempPathFactory) -> Project:
    """A project in which every stage is up to date."""
    return finished.copy(tmp_path_factory.mktemp("touched") / "project")


def touched() -> tuple[str, ...]:
    """The stages that DVC finds changed here, and those that read what they make."""
    with Repo() as repo:
        changed = {name for name in repo.status() if name in STAGES}
        stages: dict[str, Any] = {each.addressing: each for each in repo.index.stages}
    for name in STAGES:  # in the order of the pipeline
        made = {out.fs_path for each in changed for out in stages[each].outs}
        if made & {dep.fs_path for dep in stages[name].deps}:
            changed.add(name)
    return tuple(name for name in STAGES if name in changed)


@pytest.mark.parametrize("change", CHANGES)
def test_a_change_touches_these_stages_only(
    project: Project, monkeypatch: pytest.MonkeyPatch, change: str
) -> None:
    monkeypatch.chdir(project.folder)
    what, expected = CHANGES[change]
    path = Path(what.file)
    before = path.read_text(encoding="utf-8")
    path.write_text(what.of(before), encoding="utf-8")
    try:
        assert touched() == expected
    finally:
        path.write_text(before, encoding="utf-8")


def test_what_dvc_would_run_after_a_change_of_the_prose_is_the_report_alone(
    project: Project,
) -> None:
    path = project.folder / "src/twinear/report/wording.py"
    before = path.read_text(encoding="utf-8")
    path.write_text(before + "# changed\n", encoding="utf-8")
    told = project.must("dvc", "repro", "--dry")
    path.write_text(before, encoding="utf-8")
    assert "Running stage 'report'" in told
    assert told.count("Running stage") == 1


def test_two_clones_give_the_same_scorer(
    finished: Project, tmp_path_factory: pytest.TempPathFactory
) -> None:
    other = clone(tmp_path_factory.mktemp("other"))
    other.must("dvc", "repro", "--pull", "training")
    for name in ("artifacts/training/scorer.safetensors", "reports/training.csv"):
        assert sha256(other.folder / name) == sha256(finished.folder / name)


def test_a_clone_without_data_shows_the_committed_results(
    tmp_path_factory: pytest.TempPathFactory,
) -> None:
    project = clone(tmp_path_factory.mktemp("bare"))
    shown = project.must("make", "--no-print-directory", "-o", ".venv/ready", "report")
    assert "NDCG@10" in shown
    assert "report: reports/report.md, reports/report.html" in shown
    assert not (project.folder / "data").exists()

"""Which stages each kind of change touches, by DVC itself; the same inputs give the same scorer."""

import shutil
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from dvc.repo import Repo

from tests.conftest import QUICK, Project, clone
from tests.support.stages import COMMANDS
from twinear.base.files import sha256
from twinear.base.params import STAGES
from twinear.clips.clips import Clips
from twinear.spectrograms.embedding_table import TABLE, EmbeddingTable
from twinear.spectrograms.spectrograms import Spectrograms

pytestmark = pytest.mark.filterwarnings("ignore")  # DVC's own


@dataclass(frozen=True, kw_only=True)
class Change:
    """A text that is added to a file of the project, or replaces another one.

    The file is made where there is none.
    """

    file: str
    new: str = "# changed\n"
    old: str = ""

    def apply(self, text: str) -> str:
        """Return the file's text with the change."""
        if not self.old:
            return text + self.new
        assert text.count(self.old) == 1
        return text.replace(self.old, self.new)


def code(file: str) -> Change:
    return Change(file=f"src/twinear/{file}")


def param(old: str, new: str) -> Change:
    return Change(file="params.yaml", old=old, new=new)


FROM_TRAINING = ("training", "catalogue", "ranking", "report")
FROM_SPECTROGRAMS = ("spectrograms", "split", *FROM_TRAINING)
NOT_READ = (  # by no stage
    Change(file="README.md"),
    Change(file="tests/model/test_network.py"),
    code("base/__pycache__/files.cpython-311.pyc"),
    code("similarity/__pycache__/kernels.count-1.py311.nbi"),
    code("cli/main.py"),
    code("tracking/runs.py"),
    code("retraining/promotion_rule.py"),
    param("margin: 0.05", "margin: 0.04"),  # of promotion
)
CHANGES: dict[str, tuple[Change, tuple[str, ...]]] = {
    "the wording of the report": (code("report/wording.py"), ("report",)),
    "the report's params": (param("n_suggestions: 5", "n_suggestions: 4"), ("report",)),
    "the ranking's params": (
        param("confidence: 0.95", "confidence: 0.94"),
        ("ranking", "report"),
    ),
    "training's params": (param("patience: 30", "patience: 29"), FROM_TRAINING),
    "the trainer": (code("training/training.py"), FROM_TRAINING),
    "a new file of training": (code("training/new.py"), FROM_TRAINING),
    "the network": (code("model/network.py"), FROM_TRAINING),
    "the split": (param("min_test: 5", "min_test: 4"), ("split", *FROM_TRAINING)),
    "the front end": (param("hop_length: 512 ", "hop_length: 511 "), FROM_SPECTROGRAMS),
    "decoding": (code("clips/decoding.py"), ("clips", *FROM_SPECTROGRAMS)),
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


@contextmanager
def edited(path: Path, change: Change) -> Iterator[None]:
    """A file with the change, as it was again at the end."""
    before = path.read_text(encoding="utf-8") if path.exists() else None
    path.parent.mkdir(exist_ok=True)
    path.write_text(change.apply(before or ""), encoding="utf-8")
    try:
        yield
    finally:
        if before is None:
            path.unlink()
        else:
            path.write_text(before, encoding="utf-8")


def test_documentation_tests_caches_commands_tracking_and_promotion_touch_no_stage(
    project: Project, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(project.folder)
    with ExitStack() as changes:
        for change in NOT_READ:
            changes.enter_context(edited(Path(change.file), change))
        assert touched() == ()


@pytest.mark.parametrize("name", CHANGES)
def test_a_change_touches_these_stages_only(
    project: Project, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    monkeypatch.chdir(project.folder)
    change, expected = CHANGES[name]
    with edited(Path(change.file), change):
        assert touched() == expected


def test_what_dvc_would_run_after_a_change_of_the_wording_is_the_report_alone(
    project: Project, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(project.folder)
    change, expected = CHANGES["the wording of the report"]
    with edited(Path(change.file), change), Repo() as repo:
        assert tuple(stage.addressing for stage in repo.reproduce(dry=True)) == expected


IN_ONE_PROCESS = """
import runpy, sys
for command in sys.argv[1:]:
    sys.argv = command.split()[1:]
    runpy.run_path(sys.argv[0], run_name="__main__")
"""


@pytest.mark.slow(reason="runs most of the pipeline a second time")
def test_two_clones_give_the_same_scorer(
    finished: Project, tmp_path_factory: pytest.TempPathFactory
) -> None:
    """All stages up to training, from the same data in another folder.

    Its data folder has a table of the embeddings, which is used instead of computing them again.
    """
    other = clone(tmp_path_factory.mktemp("other"), QUICK)
    shutil.copytree(finished.folder / "data", other.folder / "data")
    clips = Clips.read(finished.folder / "artifacts/clips.csv").table
    computed = Spectrograms.read(finished.folder / "artifacts/spectrograms")
    EmbeddingTable(
        clips=list(clips["file"]),
        vector=computed.joined,
        extractor=computed.extractor,
        sha256=list(clips["sha256"]),
    ).write(other.folder / "data" / TABLE)
    until_training = STAGES[: STAGES.index("training") + 1]
    other.must("python", "-c", IN_ONE_PROCESS, *(COMMANDS[name] for name in until_training))
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

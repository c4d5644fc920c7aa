"""Runs, a run, its scorer and a comparison in MLflow's own pages, in a real browser."""

from pathlib import Path

import pytest

from tests.conftest import ROOT
from tests.support.browser import needs_browser, opened_page
from tests.support.mlflow_pages import Pages, compare, find_pages, show, take_pictures
from tests.support.scorers import small_scorer
from tests.support.tracking import Server
from twinear.base.files import sha256
from twinear.base.params import read_stages
from twinear.tracking.datasets import TrackedData
from twinear.tracking.promotions import record
from twinear.tracking.provenance import provenance
from twinear.tracking.registry import register
from twinear.tracking.runs import ChildRun, open_run, open_study

pytestmark = pytest.mark.filterwarnings("ignore")  # MLflow's own
BEST, TRIED, OPTIMISTIC = 0.876, 0.438, 0.987  # of the pipeline, of a quick try, of a trial
TEST = TrackedData(
    name="test artists",
    source=Path("artifacts/split.csv"),
    digest="cd" * 32,
    schema={"artist": "string", "name": "string", "split": "string"},
)


def log_pipeline(scorer: Path, ndcg: float, **training: int) -> None:
    """Log a run as the stages do."""
    params = read_stages()
    params["training"] |= training
    digest = sha256(scorer)
    with open_run(params) as run:
        for epoch in (1, 2, 3):
            run.log_metrics({"train_loss": 1 / epoch, "validation_ndcg": 0.8}, step=epoch)
        run.log_scorer(scorer, digest, small_scorer().inputs)
    with open_run(params, digest) as run:
        interval = {"ndcg@10": ndcg, "ndcg@10_low": ndcg - 0.05, "ndcg@10_high": ndcg + 0.04}
        run.log_results(interval | {"map": 0.5, "largest_hub": 0.2}, TEST)
        run.log_text("measure,catalogue,l2\nndcg@10,.876,.5\n", "baselines.csv")


@pytest.fixture
def pages(server: Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Pages:
    """Two runs of the pipeline, the better one promoted, and a search with a trial."""
    monkeypatch.chdir(ROOT)  # commit, data and committed params are those of the project
    scorers = [tmp_path / f"scorer-{seed}.safetensors" for seed in (1, 2)]
    for seed, path in enumerate(scorers):
        small_scorer(seed=seed).write(path)
    log_pipeline(scorers[0], TRIED, epochs=3)
    log_pipeline(scorers[1], BEST)
    with open_study("try", {"trials": 1}, "identity") as run:
        value = {"best_validation_ndcg": OPTIMISTIC}
        trial = ChildRun(
            name="trial-0", kind="trial", params={}, scorers=["ef" * 32], curve=[], metrics=value
        )
        assert run.log_child(trial)
        run.log_metrics(value)
    version = register(sha256(scorers[1]))
    record("promoted", version, 0, "better than chance", numbers={"lead": 0.4})
    return find_pages(server.address)


@needs_browser
@pytest.mark.slow(reason="a real browser and a server")
def test_the_pages_of_mlflow_show_at_a_glance_what_a_run_is_worth(
    pages: Pages, tmp_path: Path
) -> None:
    origin = provenance("pipeline")
    with opened_page(width=2400, height=1400) as page:
        headline = [f"ndcg_at_10{end}" for end in ("", "_lower", "_upper")]
        table = show(page, pages.addresses["runs"], *headline, str(BEST), str(TRIED))
        places = [table.index(name) for name in headline]
        assert places == sorted(places)  # value, lower and upper end stand in this order
        assert table.index(str(BEST)) < table.index(str(TRIED))
        assert not any(text in table for text in (str(OPTIMISTIC), "tuning-try", "trial-0"))
        assert "training.epochs=3" in table
        assert all(text in table for text in (origin["commit"], origin["data"], "promoted"))

        run = show(page, pages.addresses["run"], "ndcg_at_10_upper", "baselines.csv has all")
        assert "All params are as committed." in run
        assert "test artists" in run

        model = show(page, pages.addresses["model"], "ndcg_at_10_upper", str(BEST))
        assert "test artists" in model

        version = show(page, pages.addresses["version"], "Decision 1: promoted")
        assert "NDCG@10 of the test artists .876 [.826, .916]" in version
        assert "champion" in version

        compared = compare(page, pages.addresses["runs"])
        assert all(text in compared for text in (str(BEST), str(TRIED)))
    shown = {"runs": str(BEST), "run": "ndcg_at_10", "model": "ndcg_at_10", "version": "promoted"}
    take_pictures(pages.address, tmp_path / "pictures", shown)
    names = {path.stem for path in (tmp_path / "pictures").iterdir()}
    assert names == {"runs", "run", "model", "version", "comparison"}

"""Runs are compared in MLflow's own pages, in a real browser."""

import shutil
from collections.abc import Iterator
from dataclasses import dataclass

import pytest
from playwright.sync_api import Page

from tests.conftest import Project
from tests.support.browser import opened_page
from tests.support.servers import answer, free_port, served
from twinear.tracking.provenance import data_hash

pytestmark = pytest.mark.filterwarnings("ignore")  # MLflow's own
SCROLLING = """cell => {
  while (cell.scrollHeight <= cell.clientHeight || getComputedStyle(cell).overflowY === "visible")
    cell = cell.parentElement;
  return cell;
}"""
ALL_SHOWN = "texts => texts.every(text => document.body.innerText.includes(text))"
HEADLINE = ("ndcg_at_10", "ndcg_at_10_low", "ndcg_at_10_high")


@dataclass(frozen=True, kw_only=True)
class Served:
    """MLflow's pages of the experiment, and what its best run must show."""

    address: str
    ndcg: str
    first: tuple[str, str]  # name and number of its first metric
    came_from: tuple[str, str, str]  # commit, data, scorer


def three_digits(value: float) -> str:
    """The number as MLflow shows it, without zeros at the end."""
    return f"{round(value, 3):g}"


@pytest.fixture(scope="module")
def pages(finished: Project, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    """MLflow with the run of the finished project and one that ranks half as well."""
    import mlflow

    folder = tmp_path_factory.mktemp("compared")
    shutil.copy(finished.folder / "mlflow.db", folder)
    client = mlflow.MlflowClient(f"sqlite:///{folder / 'mlflow.db'}")
    experiment = client.get_experiment_by_name("twinear").experiment_id
    (best,) = client.search_runs([experiment])
    worse = client.create_run(experiment, tags=best.data.tags | {"kind": "tuning"}).info.run_id
    client.set_tag(worse, "mlflow.runName", "worse")
    for name in (*HEADLINE, "validation_ndcg"):
        client.log_metric(worse, name, best.data.metrics[name] / 2)
    client.set_terminated(worse)
    first = min(best.data.metrics)
    port = free_port()
    command = ("mlflow", "server", "--workers", "1", "--port", str(port))
    quick = ("env", "MLFLOW_SERVER_ENABLE_JOB_EXECUTION=false")  # as `make ui` does
    with served(folder, *quick, *command) as server:
        answer(server, f"http://127.0.0.1:{port}/health")
        yield Served(
            address=f"http://127.0.0.1:{port}/#/experiments/{experiment}/runs",
            first=(first, three_digits(best.data.metrics[first])),
            ndcg=three_digits(best.data.metrics["ndcg_at_10"]),
            came_from=(
                finished.must("git", "rev-parse", "HEAD").strip(),
                data_hash(finished.folder / "data.dvc"),
                best.data.tags["scorer"],
            ),
        )


def test_runs_are_shown_best_first_with_what_they_came_from_and_compared(pages: Served) -> None:
    with opened_page(width=2400) as page:
        page.goto(f"{pages.address}?viewStateShareKey=ranking")
        shown = ["worse", *HEADLINE, "pipeline", "tuning", pages.ndcg, *pages.came_from]
        page.wait_for_function(ALL_SHOWN, arg=shown)
        table = page.inner_text("body")
        assert table.index("pipeline-") < table.index("worse")
        for box in page.get_by_label("Press Space to toggle row selection").all():
            box.check()
        page.get_by_role("button", name="Compare", exact=True).click()
        page.get_by_text("Comparing 2 Runs").wait_for()
        scroll_to(page, pages.first, [*HEADLINE, pages.ndcg])
        compared = page.inner_text("body")
        for each in (*HEADLINE, pages.ndcg, *pages.came_from):
            assert each in compared


def scroll_to(page: Page, first: tuple[str, str], wanted: list[str]) -> None:
    """Scroll the table of metrics, names and numbers: MLflow draws only what is in sight."""
    panes = [page.get_by_text(each, exact=True).first.evaluate_handle(SCROLLING) for each in first]
    for _ in range(200):
        if all(page.get_by_text(each, exact=True).count() for each in wanted):
            return
        for pane in panes:
            pane.evaluate("pane => pane.scrollBy(0, 100)")
        page.wait_for_timeout(30)
    raise AssertionError(f"the table of metrics does not show {', '.join(wanted)}")

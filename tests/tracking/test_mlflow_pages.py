"""Runs are compared in MLflow's own pages, in a real browser."""

import pytest
from playwright.sync_api import Page

from tests.conftest import ROOT
from tests.support.browser import needs_browser, opened_page
from tests.support.tracking import Server
from twinear.tracking.provenance import provenance
from twinear.tracking.runs import open_run

pytestmark = pytest.mark.filterwarnings("ignore")  # MLflow's own
SCROLLING = """cell => {
  while (cell.scrollHeight <= cell.clientHeight || getComputedStyle(cell).overflowY === "visible")
    cell = cell.parentElement;
  return cell;
}"""
ALL_SHOWN = "texts => texts.every(text => document.body.innerText.includes(text))"
BEST, WORSE = "0.876", "0.438"
HEADLINE = {"ndcg@10": 0.876, "ndcg@10_low": 0.812, "ndcg@10_high": 0.923}
SHOWN = [name.replace("@", "_at_") for name in HEADLINE]
OTHERS = {f"catalogue/precision@{n}": 0.1234 for n in range(1, 40)}  # more than fit in sight
SCORER = "5c" * 32


@needs_browser
@pytest.mark.slow(reason="a real browser")
def test_runs_are_shown_best_first_with_their_origin_and_compared(
    server: Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    import mlflow

    monkeypatch.chdir(ROOT)  # the commit and the data of a run come from the project's root
    with open_run({"seed": 1}, kind="tuning") as run:
        run.log_metrics({name: value / 2 for name, value in HEADLINE.items()})
    with open_run({"seed": 2}, scorer=SCORER) as run:
        run.log_metrics(HEADLINE | OTHERS | {"validation_ndcg": 0.9})
    experiment = mlflow.get_experiment_by_name("twinear").experiment_id
    origin = [*provenance("pipeline").values(), SCORER]
    with opened_page(width=2400) as page:
        address = f"{server.address}/#/experiments/{experiment}/runs"
        page.goto(f"{address}?viewStateShareKey=ranking")
        texts = [*SHOWN, "pipeline-", "tuning-", BEST, WORSE, *origin]
        page.wait_for_function(ALL_SHOWN, arg=texts)
        table = page.inner_text("body")
        assert table.index("pipeline-") < table.index("tuning-")
        for box in page.get_by_label("Press Space to toggle row selection").all():
            box.check()
        page.get_by_role("button", name="Compare", exact=True).click()
        page.get_by_text("Comparing 2 Runs").wait_for()
        scroll_to(page, ("catalogue/precision_at_1", "0.123"), [*SHOWN, BEST])
        compared = page.inner_text("body")
        for text in (*SHOWN, BEST, *origin):
            assert text in compared


def scroll_to(page: Page, first: tuple[str, str], wanted: list[str]) -> None:
    """Scroll the table of metrics, names and numbers: MLflow draws only what is in sight."""
    panes = [page.get_by_text(text, exact=True).first.evaluate_handle(SCROLLING) for text in first]
    for _ in range(200):
        if all(page.get_by_text(text, exact=True).count() for text in wanted):
            return
        for pane in panes:
            pane.evaluate("pane => pane.scrollBy(0, 100)")
        page.wait_for_timeout(30)
    raise AssertionError(f"the table of metrics does not show {', '.join(wanted)}")

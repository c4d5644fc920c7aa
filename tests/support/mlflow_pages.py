"""MLflow's own pages in a browser: what they show, and pictures of them.

The pictures of the documentation are those of the project's own runs:
`python -m tests.support.mlflow_pages docs/assets/mlflow`.
"""

import sys
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import mlflow
from playwright.sync_api import Page

from tests.conftest import ROOT
from tests.support.browser import opened_page
from tests.support.tracking import Server, copy_database
from twinear.tracking.runs import MODEL

PICTURES = ("runs", "run", "model", "version")
WIDTH, HEIGHT = 1600, 1100
SETTLE_MS = 3000
SHOWS = "texts => texts.every(text => document.body.innerText.includes(text))"


@dataclass(frozen=True, kw_only=True)
class Pages:
    """The pages of a server's best run, by its own addresses."""

    address: str
    experiment: str
    run: str
    model: str  # the id of the scorer as a model

    @property
    def addresses(self) -> dict[str, str]:
        """Name -> address."""
        here = f"{self.address}/#/experiments/{self.experiment}"
        return {
            "runs": f"{here}/runs?viewStateShareKey=ranking",
            "run": f"{here}/runs/{self.run}",
            "model": f"{here}/models/{self.model}",
            "version": f"{self.address}/#/models/{MODEL}/versions/1",
        }


def find_pages(address: str) -> Pages:
    """Find the best run of the pipeline, and its scorer."""
    client = mlflow.MlflowClient(address)
    experiment = client.get_experiment_by_name("twinear").experiment_id
    order = ["metrics.ndcg_at_10 DESC"]
    best = client.search_runs([experiment], order_by=order)[0]
    models = client.search_logged_models([experiment])
    (model,) = [each.model_id for each in models if each.source_run_id == best.info.run_id]
    return Pages(address=address, experiment=experiment, run=best.info.run_id, model=model)


def show(page: Page, address: str, *texts: str) -> str:
    """Open an address and wait until it shows the texts; all that it shows."""
    page.goto(address)
    page.wait_for_function(SHOWS, arg=list(texts))
    return page.inner_text("body")


def compare(page: Page, address: str, n_runs: int = 2) -> str:
    """Select the first runs of the table and compare them; all that the page shows."""
    show(page, address, "ndcg_at_10")
    boxes = page.get_by_label("Press Space to toggle row selection")
    for number in range(n_runs):
        boxes.nth(number).check()
    page.get_by_role("button", name="Compare", exact=True).click()
    page.get_by_text(f"Comparing {n_runs} Runs").wait_for()
    page.wait_for_function(SHOWS, arg=["ndcg_at_10_upper"])
    return page.inner_text("body")


def take_pictures(address: str, folder: Path, shown: Mapping[str, str]) -> None:
    """Write a picture of each page; `shown` is a text that each page must show."""
    folder.mkdir(parents=True, exist_ok=True)
    pages = find_pages(address)
    with opened_page(width=WIDTH, height=HEIGHT) as page:
        for name, where in pages.addresses.items():
            show(page, where, shown[name])
            close_panels(page)
            page.screenshot(path=folder / f"{name}.png")
        compare(page, pages.addresses["runs"])
        close_panels(page)
        page.get_by_text("Visualizations").click()  # the tables below are what is compared
        for switch in page.get_by_label("Show diff only").all():
            switch.click()
        page.get_by_text("Run details").first.scroll_into_view_if_needed()
        page.wait_for_timeout(SETTLE_MS)
        page.screenshot(path=folder / "comparison.png")


def close_panels(page: Page) -> None:
    """Close what MLflow opens beside its pages, and let it draw again."""
    page.wait_for_timeout(SETTLE_MS)
    for button in page.get_by_role("button", name="Close").all():
        button.click()
    page.wait_for_timeout(SETTLE_MS)


def main(folder: Path) -> None:
    """Take pictures of the project's own runs, by a server on a copy of its database."""
    with tempfile.TemporaryDirectory() as work:
        server = Server(Path(work))
        copy_database(ROOT / "mlflow.db", Path(work) / "mlflow.db")
        try:
            server.start()
            take_pictures(server.address, folder, dict.fromkeys(PICTURES, "ndcg_at_10"))
        finally:
            server.kill()


if __name__ == "__main__":
    main(Path(sys.argv[1]))

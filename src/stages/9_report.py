"""Stage 9: the results of all stages -> figures, a report as Markdown and HTML, a model card."""

from twinear.base.interrupts import end_on_interrupt

end_on_interrupt()  # on Ctrl-C, also while what follows is imported

import sys
import tempfile
from pathlib import Path

from twinear.base.files import sha256, write_json
from twinear.base.params import read_params, read_stages
from twinear.base.stage import run_stage
from twinear.ranking.ranking import RankingParams
from twinear.report.inputs import ReportInputs
from twinear.report.model_card import write_card
from twinear.report.page import ReportParams, write_report, write_tracked_copy
from twinear.report.without_listens import CatalogueInputs, write_report_without_listens
from twinear.split import Split
from twinear.tracking.provenance import COMMIT_TAG, data_hash, provenance
from twinear.tracking.runs import open_run


def report(
    data: Path,
    reports: Path,
    artifacts: Path,
    scorer: Path,
    receipt: Path,
    markdown: Path,
    page: Path,
    card: Path,
    figures: Path,
) -> None:
    params = read_params("report", ReportParams)
    confidence = read_params("ranking", RankingParams).confidence
    pinned = data_hash(data.with_name(f"{data.name}.dvc"))
    if Split.read(artifacts / "split.csv").artists.empty:
        print("report: no listens, so it shows the catalogue alone", file=sys.stderr)
        made = CatalogueInputs.read(reports, artifacts, scorer, pinned)
        write_report_without_listens(made, params, markdown, page, figures)
        write_card(made, data, scorer, params, confidence, card)
    else:
        inputs = ReportInputs.read(reports, artifacts, pinned)
        write_report(inputs, params, confidence, markdown, page, figures)
        write_card(inputs, data, scorer, params, confidence, card)
    with open_run(read_stages(), sha256(scorer)) as run:
        # decisions about champions and data are not results of this run
        results = {*reports.glob("*.json"), *reports.glob("*.csv")}
        results -= {reports / "champion.json", reports / "accepted.json"}
        for path in (card, figures, *sorted(results)):
            run.log_files(path, reports.name)
        if run.id:
            commit = provenance("pipeline")[COMMIT_TAG]
            with tempfile.TemporaryDirectory() as folder:
                for copy in write_tracked_copy(markdown, commit, run.id, Path(folder)):
                    run.log_files(copy, reports.name)
    # Unlike the report, it is not in git: a fresh clone lacks it, so that the stage runs and logs.
    written = [markdown, page, card, *sorted(figures.iterdir())]
    write_json(receipt, {path.name: sha256(path) for path in written})


if __name__ == "__main__":
    run_stage(report)

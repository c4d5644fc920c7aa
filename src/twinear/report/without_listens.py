"""The report of a catalogue without listens: what was done, and what cannot be known."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from twinear.base.files import replacing, sha256, write_text
from twinear.base.text import markdown_table
from twinear.catalogue.catalogue import Catalogue
from twinear.catalogue.encoded import evenly_spaced
from twinear.report.figure_set import MAX_ARTISTS
from twinear.report.figures import draw_map, save, style
from twinear.report.inputs import CatalogueMeasures, read_header, read_output
from twinear.report.labels import figure_names
from twinear.report.ordering import positions
from twinear.report.origin import Origin
from twinear.report.page import ReportParams, explanation_summary, templates, to_page
from twinear.report.tables import counts_table, hubness_table
from twinear.report.wording import escape

TITLE = "Which artists sound alike, by their sound alone"
NO_LISTENS = "no listens"  # the split of every artist on the map
LEAST_ON_MAP = 3
COMPARED = {
    "none": "statistics of their spectrograms",
    "concat": "statistics of their spectrograms and the embeddings of a pre-trained network",
    "only": "the embeddings of a pre-trained network",
}


@dataclass(frozen=True, kw_only=True, eq=False)
class CatalogueInputs:
    """The outputs of the earlier stages, where there are no listens."""

    catalogue: Catalogue
    measures: CatalogueMeasures
    hubness: dict[str, dict[str, float]]  # empty with few artists
    clips: dict[str, Any]  # what the stage clips kept and dropped
    embeddings: str  # the value of spectrograms.embeddings
    origin: Origin

    @classmethod
    def read(cls, reports: Path, artifacts: Path, scorer: Path, data: str) -> "CatalogueInputs":
        """Read the two folders that the pipeline fills, and the header of the scorer.

        `data` is the hash of the data folder.
        """
        return cls(
            catalogue=Catalogue.read(artifacts / "catalogue"),
            measures=read_output(reports / "catalogue.json", CatalogueMeasures, "catalogue"),
            hubness=read_output(reports / "hubness.json", dict[str, dict[str, float]], "ranking"),
            clips=read_output(reports / "clips.json", dict[str, Any], "clips"),
            embeddings=read_header(scorer).spectrograms["embeddings"],
            origin=Origin(data=data, scorer=sha256(scorer)),
        )


def write_report_without_listens(
    inputs: CatalogueInputs, params: ReportParams, markdown: Path, page: Path, figures: Path
) -> None:
    """Write figures, Markdown and page; equal inputs give equal bytes."""
    catalogue = inputs.catalogue
    rows = evenly_spaced(np.arange(len(catalogue)), MAX_ARTISTS)
    names = figure_names(record.name for record in catalogue.artists)
    with replacing(figures) as temporary, style():
        temporary.mkdir()
        if len(rows) >= LEAST_ON_MAP:
            points = positions(catalogue.scores(rows, rows).astype(np.float32))
            shown = [names.shown[record.name] for record in catalogue.artists.records(rows)]
            save(draw_map(points, [NO_LISTENS] * len(rows), shown), temporary / "map.png")
    measures = inputs.measures
    source = (
        templates()
        .get_template("without_listens.md.jinja")
        .render(
            title=TITLE,
            origin=inputs.origin,
            figures=figures.name,
            n_clips=_counted(measures.clips, "clip"),
            n_artists=_counted(measures.artists, "artist"),
            n_all=len(catalogue),
            n_counted=len(rows),
            compared=COMPARED[inputs.embeddings],
            suggestions=_suggestions(catalogue, params),
            hubness=hubness_table(inputs.hubness) if inputs.hubness else "",
            map=len(rows) >= LEAST_ON_MAP,
            numbered=[f"{label} = {escape(name)}" for name, label in names.numbered.items()],
            exact=measures.search.name == "exact",
            n_searched=measures.search.queries,
            recall=f"{measures.search.recall_at_10:.1%}",
            explanation=explanation_summary(measures.explanation),
            clips=counts_table(inputs.clips),
        )
    )
    write_text(markdown, source)
    write_text(page, to_page(source, figures.parent, TITLE))


def _counted(n: int, noun: str) -> str:
    return f"{n:,} {noun}{'s' * (n != 1)}"


def _suggestions(catalogue: Catalogue, params: ReportParams) -> list[tuple[str, str]]:
    """Tabulate the nearest artists of some; empty without neighbours or artists."""
    if not catalogue.neighbours.shape[1]:
        return []
    table, some = catalogue.artists, evenly_spaced(np.arange(len(catalogue)), params.n_artists)
    queries = [table.find(name) for name in params.suggestions] or table.records(some)
    header = ["", "artist", "score"]
    suggested = []
    for query in queries:
        best = catalogue.neighbours[query.row][: params.n_suggestions]
        scores = catalogue.neighbour_scores[query.row]
        rows = [
            [str(place + 1), escape(record.name), f"{scores[place]:.3f}"]
            for place, record in enumerate(table.records(best))
        ]
        suggested.append((escape(query.name), markdown_table(header, rows, left=2)))
    return suggested

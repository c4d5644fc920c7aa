"""The report as Markdown, for GitHub, and as one self-contained HTML page.

The page is made from the Markdown, with the figures embedded, so that both say the same.
"""

import base64
import re
from collections.abc import Mapping, Sequence
from itertools import pairwise, zip_longest
from pathlib import Path

from jinja2 import Environment, PackageLoader, StrictUndefined
from markdown_it import MarkdownIt
from pydantic import Field

from twinear.base.files import require, write_text
from twinear.base.params import Params
from twinear.base.text import markdown_table
from twinear.metrics.bootstrap import Interval
from twinear.ranking.listener_results import STRICT
from twinear.ranking.ranking import CATALOGUE
from twinear.report.figure_set import (
    MAX_ARTISTS,
    chosen_epoch,
    names_in_figures,
    reliability_of_catalogue,
    write_figures,
)
from twinear.report.inputs import ReportInputs
from twinear.report.origin import with_run
from twinear.report.reliability import calibration_error
from twinear.report.suggestions import SOURCES, TRUTH, choose_artists, suggest
from twinear.report.tables import (
    EMPTY,
    counts_table,
    difference_table,
    hubness_table,
    is_trivial,
    learning_table,
    listener_table,
    popularity_table,
    poster_table,
    ranking_table,
)
from twinear.report.wording import (
    ABOVE,
    BELOW,
    OPEN,
    answer,
    conclude,
    escape,
    interval,
    learning_added,
    number,
)
from twinear.training.keeping import describe

TITLE = "Which artists sound alike, and how well that is known"


class ReportParams(Params):
    """What the report shows."""

    suggestions: tuple[str, ...]
    n_artists: int = Field(ge=0)
    n_suggestions: int = Field(gt=0)
    corpus_note: str
    training_note: str


def write_report(
    inputs: ReportInputs,
    params: ReportParams,
    confidence: float,
    markdown: Path,
    page: Path,
    figures: Path,
) -> None:
    """Write figures, Markdown and page; equal inputs give equal bytes.

    `confidence` is that of the intervals in the inputs.
    """
    source = render(inputs, params, confidence, figures.name)
    write_figures(inputs, figures)
    write_text(markdown, source)
    write_text(page, to_page(source, figures.parent, TITLE))


def write_tracked_copy(markdown: Path, commit: str, run: str, folder: Path) -> list[Path]:
    """Write the report once more, with the names of its commit and its run, to `folder`.

    The copies have the names of the report; its figures stand beside `markdown`.
    """
    source = with_run(markdown.read_text(encoding="utf-8"), commit, run)
    title = source.partition("\n")[0].removeprefix("# ")
    copies = [folder / markdown.name, folder / markdown.with_suffix(".html").name]
    for copy, text in zip(copies, (source, to_page(source, markdown.parent, title)), strict=True):
        write_text(copy, text)
    return copies


def render(inputs: ReportInputs, params: ReportParams, confidence: float, figures: str) -> str:
    """Render the report in Markdown, its figures in the folder named `figures` beside it."""
    names = list(inputs.test.artists["name"])
    numbered = names_in_figures(inputs).numbered
    suggestions = [
        (escape(names[row]), suggestion_table(suggest(row, params.n_suggestions, inputs), names))
        for row in choose_artists(params.suggestions, params.n_artists, inputs)
    ]
    template = templates().get_template("report.md.jinja")
    return template.render(
        title=TITLE,
        params=params,
        origin=inputs.origin,
        figures=figures,
        answer=answer(inputs, confidence),
        added=learning_added(inputs.decision),
        n_test=len(inputs.test.artists),
        most=MAX_ARTISTS if len(inputs.catalogue.artists) > MAX_ARTISTS else 0,
        poster=poster_table(inputs.ranking),
        ranking=ranking_table(inputs.ranking),
        any_trivial=any(is_trivial(each, inputs.ranking) for each in inputs.ranking[CATALOGUE]),
        differences=difference_table(inputs.differences, inputs.ranking),
        popularity=popularity_table(inputs.ranking),
        hubness=hubness_table(inputs.hubness),
        listeners=inputs.listeners,
        worth="" if inputs.listeners is None else listener_table(inputs.listeners),
        strict=inputs.listeners is not None and STRICT in inputs.listeners.systems,
        calibration_error=number(calibration_error(reliability_of_catalogue(inputs))),
        exact=inputs.measures.search.name == "exact",
        n_artists=f"{inputs.measures.artists:,}",
        n_searched=inputs.measures.search.queries,
        recall=f"{inputs.measures.search.recall_at_10:.1%}",
        explanation=explanation_summary(inputs.measures.explanation),
        suggestions=suggestions,
        learning=describe(inputs.decision),
        steps=learning_table(inputs.decision),
        chosen_epoch=chosen_epoch(inputs.training) if len(inputs.training) else None,
        n_epochs=len(inputs.training),
        filters=inputs.filters is not None,
        counts={name: counts_table(counts) for name, counts in inputs.counts.items()},
        numbered=[f"{label} = {escape(name)}" for name, label in numbered.items()],
    )


def explanation_summary(
    measured: Mapping[str, int | Interval] | None,
) -> dict[str, str | int] | None:
    """Put the deletion test into a table and a sentence; None where there is none."""
    if measured is None:
        return None
    falls = {name: value for name, value in measured.items() if isinstance(value, Interval)}
    rows = [
        [words, interval(_negated(falls[name]), sign="+")]
        for name, words in (
            ("top", "without the kind that adds most"),
            ("other", "without another one, at random"),
            ("bottom", "without the kind that adds least"),
        )
    ]
    difference = falls["top_minus_other"]
    verdict = {
        ABOVE: "the explanations are faithful.",
        BELOW: "the explanations are misleading.",
        OPEN: "this shows nothing either way.",
    }[conclude(difference)]
    return {
        "pairs": int(str(measured["pairs"])),
        "table": markdown_table(["removed", "change of the logit"], rows, left=1),
        "difference": interval(difference),
        "verdict": verdict,
    }


def _negated(fall: Interval) -> Interval:
    return Interval(value=-fall.value, low=-fall.high, high=-fall.low)


def suggestion_table(lists: Mapping[str, Sequence[int]], names: Sequence[str]) -> str:
    """Write a list in each column; names that are in the truth's list too are marked."""

    def suggested(source: str, row: int) -> str:
        name, hit = escape(names[row]), source != TRUTH and row in lists[TRUTH]
        return f"**✓ {name}**" if hit else name

    columns = [[suggested(source, row) for row in rows] for source, rows in lists.items()]
    rows = zip_longest(*columns, fillvalue=EMPTY)
    numbered = [[str(place), *row] for place, row in enumerate(rows, start=1)]
    header = ["", *(SOURCES[source] for source in lists)]
    return markdown_table(header, numbered, left=len(header))


def to_page(source: str, folder: Path, title: str) -> str:
    """Turn the Markdown into one page; its pictures are read from `folder` and embedded."""
    parser = MarkdownIt("commonmark", {"html": False}).enable("table")
    tokens = parser.parse(source)
    for token, following in pairwise(tokens):
        if token.type == "heading_open":  # links within the report name headings as GitHub does
            words = re.sub(r"[^\w\s-]", "", following.content.lower())
            token.attrs["id"] = words.replace(" ", "-")
    for token in tokens:
        for child in token.children or ():
            if child.type == "image":
                picture = require(folder / str(child.attrs["src"]), "run 'dvc repro report'")
                content = base64.b64encode(picture.read_bytes()).decode("ascii")
                child.attrs["src"] = f"data:image/png;base64,{content}"
    body = parser.renderer.render(tokens, parser.options, {})
    # wide tables scroll in a box of their own, figures that are tapped too
    body = body.replace("<p><img", '<p tabindex="0"><img')
    body = body.replace("<table>", '<div class="table" tabindex="0"><table>')
    body = body.replace("</table>", "</table></div>")
    return templates().get_template("page.html.jinja").render(title=title, body=body)


def templates() -> Environment:
    """Give the templates of this package; a name that a template lacks is an error."""
    return Environment(  # noqa: S701 - Markdown; names are escaped by `escape`
        loader=PackageLoader("twinear.report", "."),
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
    )

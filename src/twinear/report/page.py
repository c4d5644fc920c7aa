"""The report as Markdown, for GitHub, and as one page that needs nothing else.

Both come from one template: the page is the Markdown with its figures put inside, so that they
never say different things.
"""

import base64
from collections.abc import Sequence
from itertools import zip_longest
from pathlib import Path

from jinja2 import Environment, PackageLoader, StrictUndefined
from markdown_it import MarkdownIt
from pydantic import Field

from twinear.base.files import require, write_text
from twinear.base.params import Params
from twinear.report.figure_set import (
    MOST_ARTISTS,
    chosen_epoch,
    names_in_figures,
    reliability_of,
    write_figures,
)
from twinear.report.inputs import MODEL, Evidence
from twinear.report.reliability import calibration_error
from twinear.report.suggestions import SOURCES, Suggestions, chosen_artists, suggest
from twinear.report.tables import (
    NONE,
    counts_table,
    difference_table,
    hubness_table,
    markdown_table,
    popularity_table,
    poster_table,
    ranking_table,
    trivial,
)
from twinear.report.wording import answer, escape, number

TITLE = "Who sounds like whom, and how well that is known"


class ReportParams(Params):
    """What the report shows.

    Parameters
    ----------
    suggestions
        Test artists to show suggestions for; empty for the most listened.
    n_artists
        How many, when `suggestions` is empty.
    n_suggestions
        How long each list is.
    corpus_note
        Printed under the title; may be empty.
    """

    suggestions: tuple[str, ...]
    n_artists: int = Field(ge=0)
    n_suggestions: int = Field(gt=0)
    corpus_note: str


def write_report(
    evidence: Evidence,
    params: ReportParams,
    confidence: float,
    markdown: Path,
    page: Path,
    figures: Path,
) -> None:
    """Write figures, Markdown and page; equal evidence gives equal bytes.

    Parameters
    ----------
    confidence
        Of the intervals in the evidence.
    """
    source = render(evidence, params, confidence, figures.name)
    write_figures(evidence, figures)
    write_text(markdown, source)
    write_text(page, to_page(source, figures.parent))


def render(evidence: Evidence, params: ReportParams, confidence: float, figures: str) -> str:
    """Render the report in Markdown, its figures in the folder named `figures` beside it."""
    names = list(evidence.test.artists["name"])
    rows = chosen_artists(params.suggestions, params.n_artists, evidence)
    return (
        _templates()
        .get_template("report.md.jinja")
        .render(
            title=TITLE,
            params=params,
            figures=figures,
            answer=answer(evidence, confidence),
            n_test=len(evidence.test.artists),
            most=MOST_ARTISTS if len(evidence.catalogue.artists) > MOST_ARTISTS else 0,
            poster=poster_table(evidence.ranking),
            ranking=ranking_table(evidence.ranking),
            any_trivial=any(trivial(each, evidence.ranking) for each in evidence.ranking[MODEL]),
            differences=difference_table(evidence.differences, evidence.ranking),
            popularity=popularity_table(evidence.ranking),
            hubness=hubness_table(evidence.hubness),
            calibration_error=number(calibration_error(reliability_of(evidence))),
            suggestions=[
                (
                    escape(names[row]),
                    suggestion_table(suggest(row, params.n_suggestions, evidence), names),
                )
                for row in rows
            ],
            chosen_epoch=chosen_epoch(evidence.training),
            n_epochs=len(evidence.training),
            filters=evidence.filters is not None,
            counts={name: counts_table(each) for name, each in evidence.counts.items()},
            numbered=[
                f"{label} = {escape(name)}"
                for name, label in names_in_figures(evidence).numbered.items()
            ],
        )
    )


def suggestion_table(suggestions: Suggestions, names: Sequence[str]) -> str:
    """Write one list a column; a name that the truth's list holds too is marked."""
    lists = suggestions.lists
    columns = [
        [_suggested(names[row], suggestions.hit(source, row)) for row in rows]
        for source, rows in lists.items()
    ]
    rows = zip_longest(*columns, fillvalue=NONE)
    numbered = [[str(place), *row] for place, row in enumerate(rows, start=1)]
    header = ["", *(SOURCES[source] for source in lists)]
    return markdown_table(header, numbered, left=len(header))


def _suggested(name: str, hit: bool) -> str:
    return f"**✓ {escape(name)}**" if hit else escape(name)


def to_page(source: str, folder: Path) -> str:
    """Turn the Markdown into one page; its pictures are read from `folder` and put inside."""
    parser = MarkdownIt("commonmark", {"html": False}).enable("table")
    tokens = parser.parse(source)
    for token in tokens:
        for child in token.children or ():
            if child.type == "image":
                child.attrs["src"] = _inlined(folder / str(child.attrs["src"]))
    body = parser.renderer.render(tokens, parser.options, {})
    return _templates().get_template("page.html.jinja").render(title=TITLE, body=_wrapped(body))


def _inlined(picture: Path) -> str:
    content = require(picture, "run 'dvc repro report'").read_bytes()
    return f"data:image/png;base64,{base64.b64encode(content).decode('ascii')}"


def _wrapped(body: str) -> str:
    """Let wide tables scroll by themselves."""
    opened = body.replace("<table>", '<div class="table"><table>')
    return opened.replace("</table>", "</table></div>")


def _templates() -> Environment:
    return Environment(  # noqa: S701 - it writes Markdown; names go through `escape`
        loader=PackageLoader("twinear.report", "."),
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
    )

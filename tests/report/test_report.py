"""The report on planted numbers: what it must say, what it must not say."""

import json
import re
from dataclasses import replace
from html import unescape
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from markdown_it import MarkdownIt
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from safetensors.numpy import save_file

from tests.conftest import ROOT
from tests.support.planted_catalogue import planted as planted_artists
from tests.support.planted_catalogue import written
from twinear.base.errors import DataError, ParamsError
from twinear.base.files import sha256, write_json
from twinear.base.params import read_params
from twinear.base.text import markdown_table
from twinear.metrics.bootstrap import Interval
from twinear.metrics.ranking_metrics import METRICS
from twinear.ranking.listener_results import (
    STRICT,
    CurvePoint,
    ListenerEquivalents,
    SystemWorth,
)
from twinear.ranking.ranking import CORRECTED_NDCG, Ranking
from twinear.report.figure_set import artists_on_map
from twinear.report.figures import draw_heat_maps, style
from twinear.report.inputs import ReportInputs
from twinear.report.labels import figure_names, place_labels
from twinear.report.ordering import closeness, clustered_order, positions
from twinear.report.page import (
    ReportParams,
    render,
    suggestion_table,
    write_report,
    write_tracked_copy,
)
from twinear.report.suggestions import choose_artists, suggest
from twinear.report.tables import (
    counts_table,
    difference_table,
    poster_table,
    ranking_table,
)
from twinear.report.wording import ABOVE, BELOW, OPEN, answer, conclude, escape, number
from twinear.similarity.similarity import Similarity
from twinear.split import Split

DATA = "c1a1364337713fdae09d9ff4bc06848b.dir"
MEASURES = (*METRICS, CORRECTED_NDCG)
PARAMS = read_params("report", ReportParams, ROOT / "params.yaml")
SYSTEMS = {
    "catalogue": 0.6,
    "siamese": 0.56,
    "chance": 0.4,
    "popularity": 0.58,
    "l2": 0.5,
    "mfcc": 0.7,
    "mfcc_mp": 0.55,
}
ODD_NAMES = (
    "<b>Bold</b> & *Loud*",
    "A$AP | $Twice",
    "久石譲",
    "Sigur Rós och vännerna från Reykjavík",
)


def plant(folder: Path, n_artists: int = 24, n_test: int = 6, seed: int = 1) -> ReportInputs:
    """Write what the stages before would, on artists of six hidden styles; read it."""
    generator = np.random.default_rng(seed)
    reports, artifacts = folder / "reports", folder / "artifacts"
    reports.mkdir(parents=True)
    (artifacts / "training").mkdir(parents=True)
    artists = plant_artists(n_artists, n_test, generator)
    truth, scores, l2 = plant_scores(n_artists, generator)
    plant_reports(reports, n_test)
    write_json(reports / "listeners.json", plant_worth())
    Similarity(artists=artists.drop(columns="split"), matrix=truth).write(artifacts / "similarity")
    written(artifacts / "catalogue", artists, planted_artists(n_artists, n_known=n_artists))
    Split(artists=artists[["artist", "name", "split"]]).write(artifacts / "split.csv")
    inside = np.flatnonzero(artists["split"] == "test")
    square = np.ix_(inside, inside)
    Ranking(
        artists=artists.loc[inside, ["artist", "name"]],
        truth=truth[square],
        scores={"catalogue": scores[square], "l2": l2[square]},
        queries=pd.DataFrame({"query": ["a"]}),
        candidates="fold",
    ).write(artifacts / "ranking")
    weights = generator.normal(size=(128, 64, 1, 3)).astype(np.float32)
    weights *= np.exp(-(((np.arange(64) - generator.uniform(0, 64, (128, 1))) / 9) ** 2))[
        ..., None, None
    ]
    header = {"spectrograms": {"fmin": 0.0, "fmax": 8000.0}, "inputs": {"kind": "log_mel"}}
    header["model"] = {}
    save_file(
        {"convolutions.blocks.0.0.weight": weights},
        artifacts / "training/scorer.safetensors",
        metadata={"twinear": json.dumps(header)},
    )
    return ReportInputs.read(reports, artifacts, DATA)


def plant_worth() -> ListenerEquivalents:
    def near(value: float, spread: float) -> dict[str, float]:
        return {"value": value, "low": value - spread, "high": value + spread}

    return ListenerEquivalents(
        listeners=1892,
        sampled=1892,
        half=946,
        artists=6,
        queries=6,
        draws=20,
        ceiling=near(0.9, 0.05),
        curve=[
            CurvePoint(listeners=n, ndcg=near(0.3 + 0.2 * np.log10(n), 0.05))
            for n in (1, 10, 100, 946)
        ],
        systems={
            "catalogue": SystemWorth(ndcg=near(0.6, 0.1), listeners=near(81.3, 40)),
            STRICT: SystemWorth(ndcg=near(0.58, 0.1), listeners=near(70, 40)),
            "l2": SystemWorth(ndcg=near(0.2, 0.1), listeners={"value": 1, "low": 1, "high": 4}),
        },
    )


def plant_artists(n_artists: int, n_test: int, generator: np.random.Generator) -> pd.DataFrame:
    syllables = ["ka", "lo", "mir", "ten", "sua", "vor", "ni", "dre", "pol", "esh", "ru", "jan"]
    names = [
        " ".join("".join(generator.choice(syllables, 2)).title() for _ in range(1 + row % 2))
        for row in range(n_artists)
    ]
    splits = np.array(["train"] * n_artists, dtype=object)
    held_out = generator.permutation(n_artists)[: 2 * n_test]
    splits[held_out[:n_test]] = "test"
    splits[held_out[n_test:]] = "validation"
    odd = [*np.flatnonzero(splits == "test")[:3], int(np.flatnonzero(splits == "train")[0])]
    for row, name in zip(odd, ODD_NAMES, strict=True):
        names[row] = name
    listeners = np.sort(generator.zipf(1.6, n_artists).clip(max=9999))[::-1]
    return pd.DataFrame(
        {
            "artist": [f"id-{row:04}" for row in range(n_artists)],
            "name": names,
            "mbid": "",
            "listeners": listeners,
            "plays": listeners * 7,
            "split": splits,
        }
    )


def plant_scores(
    n_artists: int, generator: np.random.Generator
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    styles = np.eye(6)[np.arange(n_artists) % 6] + generator.normal(0, 0.25, (n_artists, 6))
    apart = ((styles[:, None] - styles[None]) ** 2).sum(axis=2)
    truth = np.clip(np.exp(-apart) + generator.normal(0, 0.05, apart.shape), 0, 1) ** 2
    truth = ((truth + truth.T) / 2).astype(np.float32)
    np.fill_diagonal(truth, 1)
    noisy = [1 / (1 + apart + generator.gamma(1, width, apart.shape)) for width in (0.5, 3)]
    scores, l2 = (((each + each.T) / 2).astype(np.float32) for each in noisy)
    return truth, scores, l2


def plant_reports(reports: Path, n_test: int) -> None:
    measures = {
        "artists": 24,
        "clips": 24,
        "search": {"name": "exact", "queries": n_test, "recall_at_10": 1.0},
        "explanation": {"pairs": 12}
        | {
            name: interval(value, 0.05)
            for name, value in (
                ("top", 0.3), ("other", 0.01), ("bottom", -0.1), ("largest", 0.3),
                ("top_minus_other", 0.29), ("top_over_other", 0.9),
            )
        },
    }  # fmt: skip
    (reports / "catalogue.json").write_text(json.dumps(measures))
    ranking = {
        system: {metric: interval(value, 0.05) for metric in MEASURES}
        for system, value in SYSTEMS.items()
    }
    for metrics in ranking.values():
        metrics["unordered@25"] = interval(1.0, 0.0)
    differences = {
        system: {metric: interval(SYSTEMS["catalogue"] - value, 0.03) for metric in MEASURES}
        for system, value in SYSTEMS.items()
        if system != "catalogue"
    }
    skews = {"k_occurrence_skew": 1.25, "largest_hub": 0.3125, "never_recommended": 0.0875}
    hubness = dict.fromkeys(SYSTEMS, skews)
    listens = {"files": ["plays.tsv"], "rows": 1234567, "dropped": {"no_mbid": 34000, "name": 567}}
    silent = {"place": "data/clips.csv:3", "found": "silent"}
    clips = {"listed": 160, "seconds": 4741.5, "set_aside": {"silent": [silent, silent]}}
    tables = {
        "ranking": ranking,
        "differences": differences,
        "hubness": hubness,
        "listens": listens,
        "similarity": {"measure": "minimum", "artists": 80, "with_neighbours": None},
        "clips": clips,
        "training": {
            "kept": "network",
            "keep": "better",
            "steps": [
                {
                    "step": "network",
                    "better": True,
                    "queries": 16,
                    "before": 0.41,
                    "after": 0.52,
                    "difference": interval(0.11, 0.03),
                    "factors_weight": 0.0,
                }
            ],
        },
    }
    for name, table in tables.items():
        (reports / f"{name}.json").write_text(json.dumps(table), encoding="utf-8")
    epochs = np.arange(1, 31)
    pd.DataFrame(
        {
            "epoch": epochs,
            "train_loss": 0.004 + 0.03 * np.exp(-epochs / 6),
            "validation_loss": 0.01 + 0.03 * np.exp(-epochs / 5) + 0.0001 * epochs,
            "validation_ndcg": 0.6 - 0.0006 * (epochs - 17.0) ** 2,
            "chosen": (epochs == 17).astype(int),
        }
    ).to_csv(reports / "training.csv", index=False)


def interval(value: float, half: float) -> dict[str, float]:
    return {"value": value, "low": value - half, "high": value + half}


@pytest.fixture(scope="module")
def planted(tmp_path_factory: pytest.TempPathFactory) -> tuple[ReportInputs, Path]:
    """The inputs, and the folder of the report written from them."""
    folder = tmp_path_factory.mktemp("report")
    inputs = plant(folder)
    return inputs, write(inputs, folder / "reports")


def write(inputs: ReportInputs, folder: Path, params: ReportParams = PARAMS) -> Path:
    folder.mkdir(exist_ok=True)
    paths = (folder / "report.md", folder / "report.html", folder / "figures")
    write_report(inputs, params, 0.95, *paths)
    return folder


def with_ndcg(
    inputs: ReportInputs, ours: Interval, differences: dict[str, Interval]
) -> ReportInputs:
    """The same inputs with another headline."""
    ranking = {**inputs.ranking, "catalogue": {**inputs.ranking["catalogue"], "ndcg@10": ours}}
    apart = {name: {"ndcg@10": each} for name, each in differences.items()}
    return replace(inputs, ranking=ranking, differences=apart)


def around(value: float, half: float) -> Interval:
    return Interval(value=value, low=value - half, high=value + half)


def test_the_answer_names_the_value_its_interval_and_how_many_test_artists(
    planted: tuple[ReportInputs, Path],
) -> None:
    text = answer(planted[0], 0.95)
    assert "6 test artists" in text
    assert "the other 5." in text
    assert "**.600** (95 % interval .550 to .650)" in text
    assert "95 % of random orders lie between .350 and .450" in text
    assert "The siamese network alone reaches .560." in text
    assert "known to about ±.050 and a difference to about ±.030" in text


def test_the_answer_sorts_baselines_by_what_the_paired_interval_says(
    planted: tuple[ReportInputs, Path],
) -> None:
    text = answer(planted[0], 0.95)
    assert "**The catalogue ranks better than chance**" in text
    assert (
        "**above** siamese network alone (+.040, from +.010 to +.070); "
        "L2 of spectrograms (+.100, from +.070 to +.130) and "
        "MFCC Gaussians, mutual proximity (+.050, from +.020 to +.080)." in text
    )
    assert "**not distinguishable from** popularity (+.020, from −.010 to +.050)." in text
    assert "**below** MFCC Gaussians (−.100, from −.130 to −.070)." in text


@pytest.mark.parametrize(
    ("value", "paired", "says"),
    [
        (0.60, around(0.20, 0.1), "ranks better than chance"),
        (0.46, around(0.06, 0.1), "cannot be distinguished from chance"),  # the two do not agree
        (0.44, around(0.04, 0.1), "cannot be distinguished from chance"),
        (0.30, around(-0.10, 0.05), "ranks worse than chance"),
    ],
)
def test_the_answer_is_honest_about_chance(
    planted: tuple[ReportInputs, Path], value: float, paired: Interval, says: str
) -> None:
    inputs = with_ndcg(planted[0], around(value, 0.05), {"chance": paired})
    assert says in answer(inputs, 0.95)


def test_a_difference_whose_interval_touches_zero_is_open() -> None:
    assert conclude(Interval(value=0.1, low=0.0, high=0.2)) == OPEN
    assert conclude(Interval(value=0.1, low=0.01, high=0.2)) == ABOVE
    assert conclude(Interval(value=-0.1, low=-0.2, high=-0.01)) == BELOW


@pytest.mark.parametrize(
    ("value", "written"),
    [(0.6123, ".612"), (-0.031, "−.031"), (1.0, "1.000"), (-0.0001, ".000"), (-1.5, "−1.500")],
)
def test_a_number_has_three_decimals_and_no_leading_zero(value: float, written: str) -> None:
    assert number(value) == written


def test_an_undefined_number_says_so() -> None:
    assert number(float("nan")) == number(float("nan"), sign="+") == "n/a"


def test_the_poster_stands_beside_ours(planted: tuple[ReportInputs, Path]) -> None:
    rows = [re.split(r" *\| *", row)[1:-1] for row in poster_table(planted[0].ranking).splitlines()]
    assert rows[0] == [
        "measure", "catalogue", "network", "L2", "chance",
        "2019: network", "2019: epoch 5", "2019: L2", "2019: chance",
    ]  # fmt: skip
    table = {row[0]: row[1:] for row in rows[2:]}
    assert table["edit@3"] == [".6000", ".5600", ".5000", ".4000", ".1224", ".0884", ".0748", "–"]
    assert table["unordered@10"][4:] == [".3163", ".3551", ".3020", ".2083"]


def test_a_cell_where_every_order_is_perfect_is_left_out(
    planted: tuple[ReportInputs, Path],
) -> None:
    inputs, folder = planted
    assert "| unordered@25 | – | – | – | – | .5731 |" in poster_table(inputs.ranking)
    assert "| unordered@25 | – | – | – | – | – | – | – |" in ranking_table(inputs.ranking)
    assert "with 5 candidates every order gives 1" in (folder / "report.md").read_text("utf-8")


def test_a_perfect_catalogue_is_not_left_out(planted: tuple[ReportInputs, Path]) -> None:
    perfect = with_ndcg(planted[0], around(1.0, 0.0), {}).ranking
    assert "| NDCG@10 | 1.000 [1.000, 1.000] |" in ranking_table(perfect)


def test_every_system_and_metric_has_its_interval(planted: tuple[ReportInputs, Path]) -> None:
    table = ranking_table(planted[0].ranking)
    assert table.splitlines()[0] == (
        "|  | catalogue | siamese network alone | L2 of spectrograms | MFCC Gaussians | "
        "MFCC Gaussians, mutual proximity | popularity | chance |"
    )
    assert len(table.splitlines()) == 2 + len(MEASURES)
    assert "| NDCG@10 | .600 [.550, .650] | .560 [.510, .610] | .500 [.450, .550] |" in table


def test_differences_are_marked_only_where_zero_is_out(planted: tuple[ReportInputs, Path]) -> None:
    table = difference_table(planted[0].differences, planted[0].ranking)
    row = next(line for line in table.splitlines() if line.startswith("| NDCG@10 "))
    assert "+.100 [+.070, +.130] ▲ | −.100 [−.130, −.070] ▼ |" in row
    assert "+.020 [−.010, +.050] |" in row


def test_counts_are_shown_whatever_their_shape() -> None:
    silent = [{"place": "a"}, {"place": "b"}]
    table = counts_table(
        {"rows": 1234567, "dropped": {"no_mbid": 3}, "set_aside": {"silent": silent}}
    )
    assert "| rows | 1,234,567 |" in table
    assert "| dropped, no mbid | 3 |" in table
    assert "| set aside, silent | 2 |" in table


def test_the_report_holds_corpus_note_chosen_epoch_hubs_and_what_was_dropped(
    planted: tuple[ReportInputs, Path],
) -> None:
    text = (planted[1] / "report.md").read_text("utf-8")
    assert f"> {PARAMS.corpus_note}" in text
    assert "On 16 held-out artists the network changed NDCG@10 from .410 to .520" in text
    assert "by +.110 [+.080, +.140]: kept." in text
    assert "Those of epoch 17 are its weights" in text
    assert "| catalogue | 1.250 | .312 | .087 |" in text
    assert "| dropped, no mbid | 34,000 |" in text


def test_the_report_says_what_learning_added_before_it_says_how(
    planted: tuple[ReportInputs, Path],
) -> None:
    text = (planted[1] / "report.md").read_text("utf-8")
    result = text[text.index("## The result") : text.index("## What it is worth")]
    assert "held out: the network +.110 [+.080, +.140] on 16 artists." in result
    assert "| the network | 16 | .410 | .520 | +.110 [+.080, +.140] | yes |" in text
    inputs = planted[0]
    step = replace(inputs.decision.steps[0], better=False)
    untrained = replace(inputs, decision=replace(inputs.decision, steps=(step,)))
    source = render(untrained, PARAMS, 0.95, "figures")
    assert "Nothing was learned: the scorer is the untrained one." in source
    assert "| the network | 16 | .410 | .520 | +.110 [+.080, +.140] | no |" in source


def test_the_report_names_data_and_scorer_and_its_tracked_copy_commit_and_run_too(
    planted: tuple[ReportInputs, Path], tmp_path: Path
) -> None:
    folder = planted[1]
    scorer = sha256(folder.parent / "artifacts/training/scorer.safetensors")
    text, page = ((folder / name).read_text("utf-8") for name in ("report.md", "report.html"))
    for whole in (text, page):
        assert scorer in whole
        assert DATA in whole
        assert "git log -1 reports/report.md" in whole
    commit, run = "a47845b" * 5, "0f3d" * 8
    copies = write_tracked_copy(folder / "report.md", commit, run, tmp_path)
    assert [copy.name for copy in copies] == ["report.md", "report.html"]
    for copy in copies:
        whole = copy.read_text("utf-8")
        assert {scorer, DATA, commit, run} <= set(re.findall(r"[0-9a-f]{32,}(?:\.dir)?", whole))
        assert "git log" not in whole
    assert "data:image/png" in copies[1].read_text("utf-8")


def test_links_within_the_page_lead_somewhere(planted: tuple[ReportInputs, Path]) -> None:
    page = (planted[1] / "report.html").read_text("utf-8")
    targets = set(re.findall(r'href="#([^"]*)"', page))
    assert len(targets) == 2
    assert targets <= set(re.findall(r'<h2 id="([^"]*)"', page))


def test_without_a_corpus_note_there_is_no_quotation(
    planted: tuple[ReportInputs, Path], tmp_path: Path
) -> None:
    source = render(planted[0], PARAMS.model_copy(update={"corpus_note": ""}), 0.95, "figures")
    assert "\n>" not in source


def small_inputs(
    planted: ReportInputs, truth: list[list[float]], ours: list[list[float]]
) -> ReportInputs:
    artists = planted.test.artists.head(len(truth)).reset_index(drop=True)
    artists = artists.assign(name=["Ada", "Bob", "Cy", "Dee"][: len(truth)])
    scores = {"catalogue": np.array(ours), "l2": np.array(truth)}
    test = replace(planted.test, artists=artists, truth=np.array(truth), scores=scores)
    return replace(planted, test=test)


def test_suggestions_leave_out_the_artist_itself_and_mark_hits(
    planted: tuple[ReportInputs, Path],
) -> None:
    truth = [[1, 0.9, 0.5, 0.0], [0.9, 1, 0, 0], [0.5, 0, 1, 0], [0.0, 0, 0, 1]]
    ours = [[1, 0.1, 0.8, 0.7], [0.1, 1, 0, 0], [0.8, 0, 1, 0], [0.7, 0, 0, 1]]
    inputs = small_inputs(planted[0], truth, ours)
    found = suggest(0, 3, inputs)
    assert found["truth"] == [1, 2]  # Dee shares no listener
    assert found["catalogue"] == [2, 3, 1]
    table = suggestion_table(found, ["Ada", "Bob", "Cy", "Dee"])
    assert "| 1 | Bob | **✓ Cy** | **✓ Bob** |" in table
    assert "| 2 | Cy | Dee | **✓ Cy** |" in table
    assert "| 3 | – | **✓ Bob** | Dee |" in table


def test_without_a_wish_the_most_listened_test_artists_are_shown(
    planted: tuple[ReportInputs, Path],
) -> None:
    inputs = planted[0]
    ids = list(inputs.similarity.artists["artist"])
    ranks = [ids.index(each) for each in inputs.test.artists["artist"]]
    assert [ranks[row] for row in choose_artists([], 3, inputs)] == sorted(ranks)[:3]


def test_a_wish_is_found_whatever_its_case(planted: tuple[ReportInputs, Path]) -> None:
    row = choose_artists(["a$ap $twice"], 3, planted[0])[0]
    assert planted[0].test.artists["name"].iloc[row] == "A$AP | $Twice"


def test_an_unknown_wish_names_the_nearest(planted: tuple[ReportInputs, Path]) -> None:
    inputs = small_inputs(planted[0], np.eye(4).tolist(), np.eye(4).tolist())
    with pytest.raises(ParamsError, match=r"'Boby' is no test artist.*'Bob'"):
        choose_artists(["Boby"], 3, inputs)


def test_the_page_needs_nothing_else(planted: tuple[ReportInputs, Path]) -> None:
    page = (planted[1] / "report.html").read_text("utf-8")
    assert page.count('<img src="data:image/png;base64,') == 8
    assert not re.findall(r'(?:src|href)="(?!data:image/png;base64,|#)', page)
    assert not re.search(r"<script|<link|@import|url\(", page)
    assert len(page) < 1_500_000


def test_every_figure_linked_in_markdown_exists_and_no_other(
    planted: tuple[ReportInputs, Path],
) -> None:
    linked = re.findall(
        r"!\[[^\]]+\]\((figures/[^)]+)\)", (planted[1] / "report.md").read_text("utf-8")
    )
    there = [f"figures/{path.name}" for path in (planted[1] / "figures").iterdir()]
    assert sorted(linked) == sorted(there)


def test_the_same_inputs_give_the_same_bytes(
    planted: tuple[ReportInputs, Path], tmp_path: Path
) -> None:
    again = write(planted[0], tmp_path / "again")
    files = [path.relative_to(again) for path in sorted(again.rglob("*")) if path.is_file()]
    assert len(files) == 10
    for each in files:
        assert (again / each).read_bytes() == (planted[1] / each).read_bytes(), each


def test_names_are_plain_words_on_the_page(
    planted: tuple[ReportInputs, Path], tmp_path: Path
) -> None:
    page = (planted[1] / "report.html").read_text("utf-8")
    assert "&lt;b&gt;Bold&lt;/b&gt; &amp; *Loud*" in page
    assert "<b>" not in page
    assert "A$AP | $Twice" in page
    assert "№ 1 = 久石譲" in page


@given(st.text(alphabet="ab \\`*_[]<>()&|~#$!:^=/.-+'\"@\n1", min_size=1).filter(str.strip))
def test_any_name_survives_a_table(name: str) -> None:
    source = markdown_table(["", ""], [["x", escape(name)]])
    parser = MarkdownIt("commonmark", {"html": False}).enable("table")
    cell = re.findall(r"<td[^>]*>(.*?)</td>", parser.render(source))[1]
    assert unescape(cell) == " ".join(name.split())


def test_closeness_is_the_share_of_pairs_with_a_lower_score() -> None:
    scores = np.array([[0, 5, 1], [5, 0, 1], [1, 1, 0]])
    close = closeness(scores)
    assert close[0, 1] == pytest.approx(2 / 3)
    assert close[0, 2] == close[1, 2] == 0
    assert (np.diag(close) == 1).all()


@given(arrays(np.float64, (6, 6), elements=st.integers(-20, 20).map(lambda each: each / 8)))
def test_figures_depend_only_on_the_order_of_scores(scores: np.ndarray) -> None:
    scores = scores + scores.T
    assert np.array_equal(closeness(scores), closeness(np.exp(scores)))
    assert np.array_equal(positions(scores), positions(np.exp(scores)))


def test_artists_of_one_style_stand_together_in_the_order_and_on_the_map() -> None:
    style = np.arange(12) % 3
    scores = (style[:, None] == style[None]).astype(np.float64)
    in_order = style[clustered_order(scores)]
    assert np.count_nonzero(np.diff(in_order)) == 2
    points = positions(scores)
    apart = np.linalg.norm(points[:, None] - points[None], axis=2)
    same = style[:, None] == style[None]
    assert apart[same].mean() < 0.1 * apart[~same].mean()


def test_no_two_labels_meet() -> None:
    figure = Figure(figsize=(4, 4))
    FigureCanvasAgg(figure)
    axes = figure.subplots()
    points = np.random.default_rng(1).random((60, 2))
    placed = place_labels(axes, points, [f"label {row}" for row in range(60)], size=8)
    boxes = np.array([each.get_window_extent().extents for each in axes.texts])
    apart = (boxes[:, None, :2] >= boxes[None, :, 2:]) | (boxes[:, None, 2:] <= boxes[None, :, :2])
    assert placed == len(boxes) > 10
    assert (~apart.any(axis=2)).sum() == len(boxes)  # each meets itself


def test_names_that_the_font_lacks_become_numbers_and_long_ones_are_cut() -> None:
    names = figure_names(["Björk", "久石譲", "Земфира", "\u200b", "A" * 60])
    assert names.numbered == {"\u200b": "№ 1", "久石譲": "№ 2"}
    assert names.shown["Björk"] == "Björk"
    assert names.shown["Земфира"] == "Земфира"
    assert names.shown["A" * 60] == "A" * 23 + "…"


def test_a_large_heat_map_is_averaged_over_blocks() -> None:
    with style():
        figure = draw_heat_maps(np.eye(600), np.eye(600), [])
    drawn = figure.axes[0].get_images()[0].get_array()
    assert drawn is not None
    assert drawn.shape == (200, 200)
    assert drawn[0, 0] == pytest.approx(1 / 3)


def test_what_systems_are_worth_in_listeners_stands_beside_the_ceiling(
    planted: tuple[ReportInputs, Path],
) -> None:
    source = (planted[1] / "report.md").read_text(encoding="utf-8")
    assert "comes from 1,892 listeners" in source
    assert "| ceiling: the other half | .900 [.850, .950] | 946 |" in source
    assert "| catalogue | .600 [.500, .700] | 81 [41, 121] |" in source
    assert "| L2 of spectrograms | .200 [.100, .300] | ≤ 1 [≤ 1, 4] |" in source
    assert "Strict: the known artists' listens" in source
    none = render(replace(planted[0], listeners=None), PARAMS, 0.95, "figures")
    assert "There are too few listeners" in none
    assert "listeners.png" not in none


def test_artists_without_listens_are_on_the_map(planted: tuple[ReportInputs, Path]) -> None:
    inputs = planted[0]
    gone = inputs.split.artists["artist"].iloc[0]
    kept = inputs.split.artists[inputs.split.artists["artist"] != gone]
    table = artists_on_map(replace(inputs, split=Split(artists=kept)))
    assert list(table.loc[table["row"] == 0, "split"]) == ["no listens"]
    assert list(table["split"])[:6] == ["test"] * 6


@pytest.mark.parametrize(
    ("path", "text", "says"),
    [
        ("reports/ranking.json", None, "is missing; run 'dvc repro ranking'"),
        ("reports/ranking.json", "", "is empty; run 'dvc repro ranking'"),
        ("reports/ranking.json", "{", "cannot be read"),
        ("reports/ranking.json", '{"chance": {}}', "systems chance, expected catalogue and chance"),
        ("reports/listeners.json", "{}", "cannot be read"),
        ("reports/differences.json", '{"l2": {"map": 1}}', "l2.map"),
        ("reports/training.csv", "epoch,loss\n1,2\n", "columns epoch, loss, expected"),
        ("reports/listens.json", None, "is missing; run 'dvc repro listens'"),
        ("artifacts/training/scorer.safetensors", "x", "is not a scorer"),
        ("artifacts/ranking/scores.npz", None, "is missing"),
    ],
)
def test_bad_input_is_named_in_one_line(
    tmp_path: Path, path: str, text: str | None, says: str
) -> None:
    plant(tmp_path)
    if text is None:
        (tmp_path / path).unlink()
    else:
        (tmp_path / path).write_text(text, encoding="utf-8")
    with pytest.raises(DataError, match=re.escape(says)) as raised:
        ReportInputs.read(tmp_path / "reports", tmp_path / "artifacts", "")
    assert str(tmp_path / path) in str(raised.value)
    assert "\n" not in str(raised.value)


def test_without_a_trained_network_there_is_no_training_curve(
    tmp_path: Path, planted: tuple[ReportInputs, Path]
) -> None:
    inputs = replace(planted[0], training=planted[0].training.head(0))
    folder = write(inputs, tmp_path / "reports")
    text = (folder / "report.md").read_text(encoding="utf-8")
    assert "epochs of the network" not in text
    assert "training.png" not in text
    assert not (folder / "figures" / "training.png").exists()

"""Several systems: from scores to a ranking, its numbers in reports/, and the table."""

import json
import runpy
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from scipy.sparse import csr_array

from tests.conftest import PARAMS, ROOT
from tests.support.checksums import forget_checksums
from tests.support.planted_catalogue import EVERYTHING, planted, written
from twinear.base.errors import DataError
from twinear.base.params import read_params
from twinear.catalogue.catalogue import Catalogue
from twinear.listens.listens import Listens
from twinear.metrics.ranking_metrics import METRICS, others
from twinear.ranking.ranking import (
    CORRECTED_NDCG,
    Ranking,
    RankingParams,
    Systems,
    build_truth,
    evaluate_queries,
    random_rankings,
    rank_test,
)
from twinear.ranking.summary import (
    MetricTable,
    count_undefined,
    differences,
    measure_hubness,
    summarise,
)
from twinear.ranking.systems import score_systems, score_test
from twinear.ranking.table import format_table
from twinear.ranking.tracked import tabulate_systems, tracked_metrics
from twinear.similarity.similarity import Similarity
from twinear.spectrograms.front_end import SpectrogramsParams
from twinear.spectrograms.spectrograms import Spectrograms

N = 14


@pytest.fixture(name="params")
def _params() -> RankingParams:
    params = read_params("ranking", RankingParams, PARAMS)
    return params.model_copy(update={"n_bootstrap": 200, "n_chance": 40})


@pytest.fixture(name="systems")
def _systems() -> Systems:
    """A system that knows the truth but for some noise, its network, and one that knows nothing."""
    generator = np.random.default_rng(5)
    truth, noise, other, more_noise = generator.random((4, N, N))
    names = [f"Artist {row}" for row in range(N)]
    return Systems(
        artists=pd.DataFrame({"artist": [each.lower() for each in names], "name": names}),
        truth=truth,
        corrected=truth,
        scores={
            "catalogue": truth + noise / 10,
            "siamese": truth + more_noise / 5,
            "l2": other,
        },
    )


def test_a_ranking_reads_back_as_written(
    systems: Systems, params: RankingParams, tmp_path: Path
) -> None:
    written, _ = rank_test(systems, params)
    written.write(tmp_path / "ranking")
    read = Ranking.read(tmp_path / "ranking")
    pd.testing.assert_frame_equal(read.artists, written.artists)
    pd.testing.assert_frame_equal(read.queries, written.queries)
    np.testing.assert_array_equal(read.truth, written.truth)
    assert list(read.scores) == ["catalogue", "siamese", "l2"]
    np.testing.assert_array_equal(read.scores["l2"], systems.scores["l2"])


def test_a_ranking_that_is_missing_or_out_of_step_is_refused(
    systems: Systems, params: RankingParams, tmp_path: Path
) -> None:
    with pytest.raises(DataError, match=r"is missing; .*dvc repro ranking"):
        Ranking.read(tmp_path / "ranking")
    rank_test(systems, params)[0].write(tmp_path / "ranking")
    systems.artists.head(3).to_csv(tmp_path / "ranking" / "artists.csv", index=False)
    forget_checksums(tmp_path / "ranking")
    with pytest.raises(DataError, match=r"scores.npz: holds truth.* of 3 artists"):
        Ranking.read(tmp_path / "ranking")


def test_every_query_has_every_metric_of_every_system(
    systems: Systems, params: RankingParams
) -> None:
    queries = rank_test(systems, params)[0].queries
    assert list(queries.columns) == ["query", "system", "metric", "value"]
    assert list(queries["system"].unique()) == ["catalogue", "siamese", "chance", "l2"]
    assert list(queries["metric"].unique()) == [*METRICS, CORRECTED_NDCG]
    assert len(queries) == N * 4 * (len(METRICS) + 1)


def test_a_system_has_the_same_values_whatever_other_systems_are_evaluated(
    systems: Systems, params: RankingParams
) -> None:
    alone = Systems(
        artists=systems.artists,
        truth=systems.truth,
        corrected=systems.corrected,
        scores={"l2": systems.scores["l2"]},
    )
    beside, apart = (rank_test(each, params)[0].queries for each in (systems, alone))
    first, again = (each.query("system == 'l2'")["value"].to_numpy() for each in (beside, apart))
    np.testing.assert_array_equal(first, again)


def test_queries_may_rank_candidates_that_are_no_queries(
    systems: Systems, params: RankingParams
) -> None:
    """Five queries, held out together, rank all artists but themselves."""
    truth = build_truth(systems.truth[:5], others(N)[:5], params)
    chance = random_rankings(truth, params)
    scores = {system: each[:5] for system, each in systems.scores.items()}
    ids = pd.DataFrame({"query": systems.artists["artist"][:5]})
    queries = evaluate_queries(ids, truth, scores, chance, params)
    assert queries["query"].nunique() == 5
    assert summarise(queries, chance, params)["catalogue"]["mrr"]["value"] > 0.4


def test_artists_are_selected_in_the_order_asked_for(systems: Systems) -> None:
    some = systems.select(["artist 4", "artist 2"])
    assert list(some.artists["name"]) == ["Artist 4", "Artist 2"]
    assert some.truth[0, 1] == systems.truth[4, 2]
    assert some.scores["l2"][1, 0] == systems.scores["l2"][2, 4]


def test_a_test_artist_without_similarity_or_clips_is_refused(systems: Systems) -> None:
    with pytest.raises(
        DataError, match="artists with similarity and clips: lack nobody and 1 more"
    ):
        systems.select(["artist 1", "nobody", "no one"])


def summarised(systems: Systems, params: RankingParams) -> tuple[MetricTable, MetricTable]:
    ranking, chance = rank_test(systems, params)
    return summarise(ranking.queries, chance, params), differences(ranking.queries, params)


def test_the_summary_has_an_interval_for_every_system_and_metric(
    systems: Systems, params: RankingParams
) -> None:
    summary, apart = summarised(systems, params)
    assert list(summary) == ["catalogue", "siamese", "chance", "l2"]
    assert list(apart) == ["siamese", "chance", "l2"]
    for metrics in [*summary.values(), *apart.values()]:
        assert list(metrics) == [*METRICS, CORRECTED_NDCG]
        for each in metrics.values():
            assert list(each) == ["value", "low", "high"]
            assert each["low"] <= each["value"] <= each["high"]


def test_few_figures_of_the_catalogue_are_tracked_and_a_table_has_all(
    systems: Systems, params: RankingParams
) -> None:
    summary, apart = summarised(systems, params)
    tracked = tracked_metrics(summary, apart, {"catalogue": {"largest_hub": 0.25}})
    for measure in ("ndcg@10", "mrr"):
        numbers = summary["catalogue"][measure]
        ends = (tracked[f"{measure}{end}"] for end in ("", "_low", "_high"))
        assert tuple(ends) == (numbers["value"], numbers["low"], numbers["high"])
    assert tracked["siamese/ndcg@10"] == summary["siamese"]["ndcg@10"]["value"]
    assert tracked["lead_on_best_baseline_low"] == apart["l2"]["ndcg@10"]["low"]
    assert tracked["largest_hub"] == 0.25
    assert len(tracked) <= 30
    table = tabulate_systems(summary)
    assert set(table["measure"]) == {*METRICS, CORRECTED_NDCG}
    assert table["measure"][0] == "ndcg@10"
    assert list(table.columns) == ["measure", *summary]


def test_without_baselines_there_is_no_lead(systems: Systems, params: RankingParams) -> None:
    summary, apart = summarised(systems, params)
    alone = {name: summary[name] for name in ("catalogue", "chance")}
    tracked = tracked_metrics(alone, {"chance": apart["chance"]}, {"catalogue": {}})
    assert {name for name in tracked if "lead" in name or "siamese" in name} == set()


def test_the_summary_can_be_written_as_strict_json(systems: Systems, params: RankingParams) -> None:
    for each in summarised(systems, params):
        assert json.loads(json.dumps(each, allow_nan=False)) == each


def test_a_system_that_knows_beats_chance_and_one_that_does_not_is_inside_its_band(
    systems: Systems, params: RankingParams
) -> None:
    summary, apart = summarised(systems, params)
    assert summary["catalogue"]["ndcg@10"]["low"] > summary["chance"]["ndcg@10"]["high"]
    assert apart["chance"]["ndcg@10"]["low"] > 0
    band = summary["chance"]["ndcg@10"]
    assert band["low"] < summary["l2"]["ndcg@10"]["value"] < band["high"]


def test_chance_is_n_over_the_candidates(systems: Systems, params: RankingParams) -> None:
    chance = summarised(systems, params)[0]["chance"]
    for n in (3, 5, 10):
        assert chance[f"unordered@{n}"]["value"] == pytest.approx(n / (N - 1), abs=0.03)
    assert chance["unordered@25"] == {"value": 1, "low": 1, "high": 1}
    assert chance["spearman"]["low"] < 0 < chance["spearman"]["high"]


def test_the_paired_difference_is_the_difference_of_the_means(
    systems: Systems, params: RankingParams
) -> None:
    summary, apart = summarised(systems, params)
    lead = summary["catalogue"]["map"]["value"] - summary["l2"]["map"]["value"]
    assert apart["l2"]["map"]["value"] == pytest.approx(lead, abs=2e-6)


def test_queries_similar_to_nobody_are_counted(systems: Systems, params: RankingParams) -> None:
    systems.truth[[2, 5]] = 0
    queries = rank_test(systems, params)[0].queries
    assert count_undefined(queries) == dict.fromkeys(
        ["ndcg@10", "ndcg@200", "recall@10", "recall@25", "map", "mrr", "spearman", CORRECTED_NDCG],
        2,
    )


def test_test_artists_who_share_no_listener_at_all_are_refused(
    systems: Systems, params: RankingParams
) -> None:
    systems.truth[:] = 0
    with pytest.raises(DataError, match="ndcg@10 is defined for none of 14"):
        summarised(systems, params)


def test_the_hubness_of_every_system_is_measured(systems: Systems, params: RankingParams) -> None:
    systems.scores["popularity"] = np.tile(np.arange(float(N)), (N, 1))
    found = measure_hubness(systems.scores, params)
    assert list(found) == ["catalogue", "siamese", "chance", "l2", "popularity"]
    # The 10 most popular stand in all lists but their own; their ten lists take the next.
    assert found["popularity"]["largest_hub"] == round((N - 1) / N, 6)
    assert found["popularity"]["never_recommended"] == round(3 / N, 6)


def test_the_table_fits_a_terminal_and_shows_every_system(
    systems: Systems, params: RankingParams
) -> None:
    table = format_table(*summarised(systems, params))
    lines = table.splitlines()
    assert max(map(len, lines)) <= 100
    assert [line.split()[0] for line in lines[2:6]] == ["catalogue", "siamese", "chance", "l2"]
    assert lines[5].endswith(" *")


def test_the_table_is_set_as_frozen() -> None:
    def numbers(value: float, low: float, high: float) -> dict[str, dict[str, float]]:
        each = {"value": value, "low": low, "high": high}
        return {"ndcg@10": each, "unordered@10": each, "mrr": each}

    ranking = {"catalogue": numbers(0.4312, 0.38, 1.0), "l2": numbers(0.25, 0.2, 0.3)}
    table = format_table(ranking, {"l2": numbers(0.1812, -0.031, 0.25)})
    three, same = "   .431 [.380, 1.000]" * 3, "   .250 [.200, .300] " * 3
    assert table.splitlines()[1:4] == [
        "-" * 99,
        f"catalogue{three}",
        f"l2       {same}   +.181 [-.031, +.250]",
    ]
    assert "ahead" not in format_table(ranking)


@pytest.fixture(name="nouns")
def _nouns(tmp_path: Path) -> tuple[Catalogue, Spectrograms, Similarity]:
    """Fifteen artists of the similarity; the last has no clips. Two clips each, one cold start."""
    generator = np.random.default_rng(6)
    ids = [f"a{row:02}" for row in range(N + 1)]
    with_clips = [*ids[:N], "a-cold-start"]
    artist_index = np.repeat(np.arange(N + 1), 2)
    clips = pd.DataFrame(
        {"artist": np.array(with_clips)[artist_index], "name": np.array(with_clips)[artist_index]}
    ).assign(title="", source="", seconds=30.0)
    clips.insert(0, "file", [f"clips/{row}.mp3" for row in range(len(clips))])
    front = read_params("spectrograms", SpectrogramsParams, PARAMS)
    spectrograms = Spectrograms(
        clips=clips,
        values=generator.random((len(clips), 4, 8)).astype(np.float16),
        mfcc_mean=generator.random((len(clips), 3), dtype=np.float32),
        mfcc_cov=np.tile(np.eye(3, dtype=np.float32), (len(clips), 1, 1)),
        front=front.model_copy(update={"n_mels": 4, "n_frames": 8, "embeddings": "none"}),
        joined=np.empty((len(clips), 0), np.float32),
    )
    order = np.argsort(with_clips)  # a catalogue is sorted by id
    table = pd.DataFrame({"artist": with_clips, "name": with_clips}).iloc[order]
    some = planted(n_artists=N + 1, n_known=N)
    catalogue = Catalogue.read(written(tmp_path / "catalogue", table, some, EVERYTHING))
    values = generator.random((N + 1, N + 1))
    matrix = ((values + values.T) / 2).astype(np.float32)
    np.fill_diagonal(matrix, 1)
    artists = pd.DataFrame(
        {"artist": ids, "name": ids, "mbid": "", "listeners": range(90, 75, -1), "plays": 100}
    )
    return catalogue, spectrograms, Similarity(artists=artists, matrix=matrix)


def test_all_systems_score_the_artists_with_similarity_and_clips(
    nouns: tuple[Catalogue, Spectrograms, Similarity],
) -> None:
    catalogue, spectrograms, similarity = nouns
    systems = score_systems(catalogue, spectrograms, similarity)
    assert list(systems.scores) == ["catalogue", "siamese", "popularity", "l2", "mfcc", "mfcc_mp"]
    assert list(systems.artists["artist"]) == [f"a{row:02}" for row in range(N)]
    np.testing.assert_array_equal(systems.truth, similarity.matrix[:N, :N])
    rows = catalogue.rows(["a03", "a05"])
    pair = catalogue.scores(rows[:1], rows[1:])[0, 0], catalogue.siamese(rows[:1], rows[1:])[0, 0]
    assert systems.scores["catalogue"][3, 5] == pytest.approx(pair[0], abs=1e-6)
    assert systems.scores["siamese"][3, 5] == pytest.approx(pair[1], abs=1e-6)
    assert systems.scores["popularity"][3, 5] == 85
    flat = np.asarray(spectrograms.values, np.float64).reshape(
        -1, 2, 32
    )  # (artists, clips, values)
    distance = np.linalg.norm(flat[3][:, None] - flat[5], axis=-1)
    assert systems.scores["l2"][3, 5] == pytest.approx(-distance.mean(), rel=1e-5)


def test_neighbours_are_scored_and_judged_as_all_pairs_are(
    nouns: tuple[Catalogue, Spectrograms, Similarity], params: RankingParams
) -> None:
    """Where every pair is a neighbour and every artist a reference and a query."""
    catalogue, spectrograms, similarity = nouns
    matrix = np.where(similarity.matrix > 0.4, similarity.matrix, 0)
    ids = [f"a{row:02}" for row in (2, 4, 5, 7, 8, 11, 13)]
    (whole, everyone), (sparse, hubs) = (
        score_test(catalogue, spectrograms, replace(similarity, matrix=each), ids, params)
        for each in (matrix, csr_array(matrix))
    )
    assert list(sparse.artists["artist"]) == list(whole.artists["artist"]) == ids
    assert sparse.query_rows.tolist() == whole.query_rows.tolist() == list(range(7))
    np.testing.assert_array_equal(sparse.truth, whole.truth)
    np.testing.assert_allclose(sparse.corrected, whole.corrected, atol=1e-6)
    apart = ~np.eye(7, dtype=bool)
    for system, scores in whole.scores.items():
        np.testing.assert_allclose(
            sparse.scores[system][apart], scores[apart], rtol=1e-5, err_msg=system
        )
        np.testing.assert_array_equal(hubs.scores[system], everyone.scores[system])


@pytest.mark.parametrize("kind", [np.asarray, csr_array])
def test_drawn_queries_get_the_values_that_they_have_among_all(
    kind: type, nouns: tuple[Catalogue, Spectrograms, Similarity], params: RankingParams
) -> None:
    catalogue, spectrograms, similarity = nouns
    similarity = replace(similarity, matrix=kind(similarity.matrix))
    ids = list(similarity.artists["artist"].head(N))
    few = params.model_copy(update={"max_queries": 5})
    drawn, every = (
        score_test(catalogue, spectrograms, similarity, ids, each)[0] for each in (few, params)
    )
    rows = drawn.query_rows
    assert len(rows) == 5
    judged, _ = rank_test(drawn, few)
    everyone, _ = rank_test(every, params)
    assert list(judged.artists["artist"]) == [ids[row] for row in rows]
    np.testing.assert_allclose(judged.truth, everyone.truth[np.ix_(rows, rows)])
    key = ["query", "system", "metric"]
    both = judged.queries.merge(everyone.queries, on=key, suffixes=("", "_of_all"))
    # chance is drawn at random, the others tie some artists
    both = both[~both["system"].isin(["chance", "popularity", "mfcc_mp"])]
    assert len(both) == 5 * 4 * (len(METRICS) + 1)
    np.testing.assert_allclose(both["value"], both["value_of_all"], atol=1e-6)


def test_blocks_of_queries_have_the_values_of_all_at_once(
    systems: Systems, params: RankingParams, monkeypatch: pytest.MonkeyPatch
) -> None:
    whole, _ = rank_test(systems, params)
    monkeypatch.setattr("twinear.ranking.ranking.PAIRS", 3 * N)
    monkeypatch.setattr("twinear.ranking.ranking.CHANCE_PAIRS", 20 * N * N)
    blocks, chance = rank_test(systems, params)
    assert {drawn.shape for drawn in chance.values()} == {(20, N)}  # of 40
    assert len(np.unique(chance["mrr"], axis=1)[0]) > 5  # other random rankings in every block
    key = ["query", "system", "metric"]
    both = blocks.queries.merge(whole.queries, on=key, suffixes=("", "_whole"))
    both = both[both["system"] != "chance"]
    np.testing.assert_allclose(both["value"], both["value_whole"])


def test_of_a_large_corpus_fewer_random_rankings_are_drawn(params: RankingParams) -> None:
    asked = params.model_copy(update={"n_chance": 1000})
    pairs = (447 * 446, 1000 * 1999, 1000 * 19_999, 10**9)
    assert [asked.n_random(each) for each in pairs] == [1000, 100, 10, 10]
    assert params.n_random(1000 * 1999) == params.n_chance == 40


def test_listens_and_clips_of_other_artists_are_refused(
    nouns: tuple[Catalogue, Spectrograms, Similarity],
) -> None:
    catalogue, spectrograms, similarity = nouns
    spectrograms.clips["artist"] = "another"
    with pytest.raises(DataError, match="artists with similarity and clips: there are none"):
        score_systems(catalogue, spectrograms, similarity)


def test_the_stage_writes_its_reports(
    nouns: tuple[Catalogue, Spectrograms, Similarity],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    _, spectrograms, similarity = nouns  # the catalogue is in tmp_path
    spectrograms.write(tmp_path / "spectrograms")
    similarity.write(tmp_path / "similarity")
    split = similarity.artists[["artist", "name"]].head(N).assign(split="train")
    split.loc[4:, "split"] = "test"
    split.to_csv(tmp_path / "split.csv", index=False)
    reports = [tmp_path / f"{name}.json" for name in ("ranking", "differences", "hubness")]
    told = tmp_path / "listeners.json"
    ids = list(similarity.artists["artist"])
    plays = np.random.default_rng(0).integers(0, 2, size=(40, len(ids)))
    plays[:, :4] = 1  # every artist and every listener has a play
    plays[0] = 1
    Listens(artists=similarity.artists, plays=csr_array(plays)).write(tmp_path / "listens")
    inputs = [tmp_path / name for name in ("catalogue", "spectrograms", "similarity", "split.csv")]
    inputs.append(tmp_path / "listens")
    (tmp_path / "scorer").write_bytes(b"any")
    script = str(ROOT / "src" / "stages" / "8_ranking.py")
    history, figures = tmp_path / "training.csv", tmp_path / "metrics.json"
    history.write_text("epoch,train_loss,chosen\n1,0.5,1\n2,0.4,0\n")
    inputs += [tmp_path / "scorer", history]
    argv = [script, *map(str, [*inputs, tmp_path / "ranking", *reports, told, figures])]
    monkeypatch.setattr("sys.argv", argv)
    monkeypatch.chdir(ROOT)
    runpy.run_path(script, run_name="__main__")
    ranking, apart, hub = (json.loads(path.read_text()) for path in reports)
    systems = ["catalogue", "siamese", "chance", "popularity", "l2", "mfcc", "mfcc_mp"]
    assert list(ranking) == list(hub) == systems
    assert list(apart) == systems[1:]
    assert len(Ranking.read(tmp_path / "ranking").artists) == N - 4
    assert json.loads(figures.read_text())["epochs"] == 1
    worth = json.loads(told.read_text())
    assert (worth["listeners"], worth["half"], worth["queries"]) == (40, 20, N - 4)
    assert set(systems) - {"chance"} <= set(worth["systems"])

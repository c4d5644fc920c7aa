"""The score of two artists: as the dense definition says, whichever way it is computed."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import skew

from tests.conftest import PARAMS, Project
from tests.support.all_pairs import scores_by_all_pairs
from tests.support.dense_catalogue import dense_scores
from tests.support.planted_catalogue import (
    COSINE,
    EVERYTHING,
    MEAN,
    PLAIN,
    Planted,
    planted,
    unit_rows,
)
from tests.support.scorers import clip_spectrograms, small_scorer
from twinear.base.params import read_params
from twinear.catalogue.building import prepare, score_catalogue
from twinear.catalogue.calibration import SiameseScale
from twinear.catalogue.collaborative import TrainingArtists
from twinear.catalogue.encoded import plain_artists
from twinear.catalogue.head import L1Head, describe_head, head_of, parse_head
from twinear.catalogue.listener_factors import add_listener_factors
from twinear.catalogue.params import CatalogueParams
from twinear.catalogue.scoring import (
    ScoreParts,
    mean_cosines,
    pooled_scores,
    score_artists,
    sort_clips,
    split_mean_logit,
)
from twinear.listens.listens import Listens
from twinear.model.pooling import Pooling
from twinear.model.scorer import Scorer
from twinear.similarity.similarity import Similarity
from twinear.spectrograms.spectrograms import Spectrograms
from twinear.split import Split

L1 = L1Head(weight=(0.5, -0.2, 0.3, 0.1) * 3, bias=0.4)


def parts(some: Planted, params: CatalogueParams, *, listens: bool = True) -> ScoreParts:
    scoring, encoded = prepare(some.artists, some.head, params, some.known if listens else None)
    return scoring.score(encoded, encoded)


@pytest.mark.parametrize("head", [COSINE, L1])
@pytest.mark.parametrize("power", [0.5, 1.0, 8.0])
@pytest.mark.parametrize("listens", [True, False])
def test_scores_are_those_of_the_dense_definition(
    head: L1Head, power: float, listens: bool
) -> None:
    some = planted(head=head)
    params = EVERYTHING.model_copy(update={"pooling_power": power})
    expected = dense_scores(
        some.logits(), some.artist_index, params, some.known if listens else None, head
    )
    found = parts(some, params, listens=listens)
    np.testing.assert_allclose(found.siamese, expected.siamese, atol=1e-5)
    np.testing.assert_allclose(found.total, expected.total, atol=2e-5)


@pytest.mark.parametrize("head", [COSINE, L1])
@pytest.mark.parametrize("share", [0.0, 0.5, 1.0])
def test_scores_of_mean_embeddings_are_those_of_the_dense_definition(
    head: L1Head, share: float
) -> None:
    some = planted(head=head)
    params = MEAN.model_copy(update={"collaborative_denoised": share})
    expected = dense_scores(some.logits(), some.artist_index, params, some.known, head)
    found = parts(some, params)
    np.testing.assert_allclose(found.siamese, expected.siamese, atol=1e-5)
    np.testing.assert_allclose(found.total, expected.total, atol=2e-5)


def test_artists_of_one_clip_score_alike_by_both_poolings() -> None:
    some = planted(max_clips=1)
    mean, pairs = (
        parts(some, params).siamese
        for params in (MEAN, MEAN.model_copy(update={"pooling": "pairs"}))
    )
    np.testing.assert_allclose(mean, pairs, atol=1e-6)


def test_a_weighted_l1_distance_is_always_averaged_over_pairs() -> None:
    some = planted(head=L1)
    mean, pairs = parts(some, MEAN), parts(some, MEAN.model_copy(update={"pooling": "pairs"}))
    assert np.array_equal(mean.total, pairs.total)


def test_an_artist_whose_clips_cancel_out_has_the_bias_with_all() -> None:
    clips = np.array([[1, 0, 0], [-1, 0, 0], [0, 1, 0]], np.float32)
    artists = plain_artists(np.array([0, 2, 3]), clips)
    scores = pooled_scores(COSINE, artists, artists, "mean")
    np.testing.assert_allclose(scores[0], 1 / (1 + np.exp(-COSINE.bias)), atol=1e-6)


def test_the_parts_of_a_mean_logit_sum_to_it() -> None:
    some = planted()
    first, second = some.artists.select([4]), some.artists.select([9])
    score = pooled_scores(COSINE, first, second, "mean")[0, 0]
    split = split_mean_logit(COSINE, first, second)
    assert split.shape == (first.clip_counts[0], second.clip_counts[0])
    assert split.sum() + COSINE.bias == pytest.approx(np.log(score / (1 - score)), abs=1e-5)


def test_mean_embeddings_in_blocks_score_as_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    some = planted()
    whole = mean_cosines(some.artists, some.artists)
    monkeypatch.setattr("twinear.catalogue.scoring.CLIPS", 5)
    blocks = mean_cosines(some.artists, some.artists.block(0, len(some.artists)))
    np.testing.assert_allclose(blocks, whole, atol=1e-6)


@pytest.mark.slow(reason="3,000 artists; 60 are scored above")
def test_scores_of_3000_artists_are_those_of_the_dense_definition() -> None:
    some = planted(n_artists=3000, n_known=2400, units=32, max_clips=2)
    expected = dense_scores(some.logits(), some.artist_index, EVERYTHING, some.known, some.head)
    scoring, encoded = prepare(some.artists, some.head, EVERYTHING, some.known)
    calibration = SiameseScale(mean=scoring.mean, deviation=scoring.deviation)
    for rows, totals in scoring.totals(encoded, encoded):
        np.testing.assert_allclose(totals, expected.total[rows], rtol=1e-5, atol=1e-5)
        np.testing.assert_allclose(
            calibration.apply(totals), calibration.apply(expected.total[rows]), rtol=0, atol=1e-5
        )


def test_a_few_rows_are_scored_as_all_are() -> None:
    some = planted()
    scoring, encoded = prepare(some.artists, some.head, EVERYTHING, some.known)
    queries, candidates = [7, 3, 7], [59, 0, 31]
    few = scoring.score(encoded.select(queries), encoded.select(candidates)).total
    every = scoring.score(encoded, encoded).total
    np.testing.assert_allclose(few, every[np.ix_(queries, candidates)], atol=1e-5)


@given(seed=st.integers(0, 2**16))
@settings(max_examples=10, deadline=None)
def test_scores_do_not_depend_on_the_order_of_artists_or_clips(seed: int) -> None:
    some, rng = planted(n_artists=20, n_known=12), np.random.default_rng(seed)
    order = rng.permutation(20)
    moved = Planted(
        artists=some.artists.select(order),
        known=replace(some.known, rows=np.argsort(order)[some.known.rows]),
        head=some.head,
    )
    before, after = parts(some, EVERYTHING).total, parts(moved, EVERYTHING).total
    np.testing.assert_allclose(after, before[np.ix_(order, order)], atol=1e-4)


def test_without_popularity_scores_are_symmetric() -> None:
    total = parts(planted(), EVERYTHING.model_copy(update={"popularity_weight": 0.0})).total
    np.testing.assert_allclose(total, total.T, atol=1e-5)


def test_scores_by_sound_have_mean_0_and_deviation_1_among_the_known() -> None:
    some = planted()
    among = parts(some, PLAIN).total[np.ix_(some.known.rows, some.known.rows)]
    apart = among[~np.eye(len(among), dtype=bool)]
    assert apart.mean() == pytest.approx(0, abs=1e-5)
    assert apart.std() == pytest.approx(1, abs=1e-5)


def test_the_more_clips_are_pooled_by_a_power_the_more_the_most_similar_pair_counts() -> None:
    some = planted(n_artists=8, n_known=4)
    best = [
        parts(some, PLAIN.model_copy(update={"pooling_power": power})).siamese[1, 2]
        for power in (0.5, 1.0, 4.0, 40.0)
    ]
    assert best == sorted(best)


def test_scores_too_low_for_a_high_power_still_differ() -> None:
    """`1e-4 ** 40` is nothing in single precision."""
    low = parts(
        planted(head=COSINE.__class__(scale=1.0, bias=-9.2)),
        PLAIN.model_copy(update={"pooling_power": 40.0}),
    ).siamese
    assert low.min() > 0
    assert len(np.unique(low[0])) > 50


def test_a_planted_hub_is_taken_down() -> None:
    some = planted(n_artists=60, n_known=40)
    clips = some.artists.embeddings.astype(np.float64)
    hub = slice(*some.artists.clip_offsets[[7, 8]])
    clips[hub] = clips.mean(axis=0)
    embeddings = unit_rows(clips)
    embeddings[hub] *= 3  # sounds like everyone
    artists = plain_artists(some.artists.clip_offsets, embeddings)

    def occurrence(weight: float) -> np.ndarray:
        """How often each artist is among the five nearest of another."""
        params = PLAIN.model_copy(update={"csls_weight": weight})
        scoring, encoded = prepare(artists, COSINE, params, None)
        total = scoring.score(encoded, encoded).total
        np.fill_diagonal(total, -np.inf)
        return np.bincount(np.argsort(-total, axis=1)[:, :5].ravel(), minlength=60)

    assert occurrence(0.0)[7] > 40
    assert occurrence(0.5)[7] < 30
    assert skew(occurrence(0.5)) < skew(occurrence(0.0))


@pytest.mark.parametrize("n", [1, 2, 3])
def test_hardly_any_artists_survive(n: int) -> None:
    some = planted(n_artists=n, n_known=n)
    for listens in (True, False):
        assert np.isfinite(parts(some, EVERYTHING, listens=listens).total).all()


def test_sound_that_is_the_same_for_all_survives() -> None:
    artists = plain_artists(np.arange(41), unit_rows(np.ones((40, 3))))
    for bias in (-100.0, 0.0, 100.0):
        head = COSINE.__class__(scale=1.0, bias=bias)
        some = Planted(artists=artists, known=planted(40, 20).known, head=head)
        assert np.isfinite(parts(some, EVERYTHING).total).all()


# --- heads without torch ----------------------------------------------------------------------


@pytest.mark.parametrize("kind", ["cosine", "l1"])
def test_a_head_without_torch_scores_as_the_network_does(kind: str) -> None:
    scorer = small_scorer(head=kind)
    if kind == "l1":
        weight = np.random.default_rng(0).normal(size=scorer.units).astype(np.float32)
        scorer = replace(scorer, weights={**scorer.weights, "head.weight": weight})
    embeddings = scorer.encode_spectrograms(clip_spectrograms(6))
    expected = scorer.score(embeddings, embeddings)
    head = parse_head(describe_head(head_of(scorer)))
    found = 1 / (1 + np.exp(-head.logit(embeddings, embeddings).astype(np.float64)))
    np.testing.assert_allclose(found, expected, atol=1e-6)


def test_an_artist_pairs_score_by_the_network_is_of_its_clip_pairs_or_its_mean() -> None:
    scorer = small_scorer()
    embeddings = scorer.encode_spectrograms(clip_spectrograms(7))
    index = np.array([1, 0, 0, 2, 3, 1, 0])
    scores = score_artists(scorer, embeddings, index)
    of_clips = scorer.score(embeddings, embeddings)
    for a in range(4):
        for b in range(4):
            expected = of_clips[np.ix_(index == a, index == b)].mean()
            assert scores[a, b] == pytest.approx(expected, abs=1e-6)
    assert np.array_equal(scores, scores.T)
    means = np.stack([embeddings[index == each].mean(axis=0) for each in range(4)])
    of_means = scorer.score(unit_rows(means), unit_rows(means))
    found = score_artists(scorer, embeddings, index, "mean")
    np.testing.assert_allclose(found, of_means, atol=1e-6)
    assert np.array_equal(found, found.T)


@pytest.mark.parametrize("kind", ["cosine", "l1"])
@pytest.mark.parametrize("pooling", ["pairs", "mean"])
def test_training_scores_artists_as_a_catalogue_does(kind: str, pooling: Pooling) -> None:
    scorer = small_scorer(head=kind)
    embeddings = scorer.encode_spectrograms(clip_spectrograms(7))
    index = np.array([1, 0, 0, 2, 3, 1, 0])
    net, clips = scorer.net, torch.from_numpy(embeddings)
    with torch.no_grad():
        scores = scores_by_all_pairs(clips, net, torch.from_numpy(index), pooling)
    expected = score_artists(scorer, embeddings, index, pooling)
    np.testing.assert_allclose(scores.numpy(), expected, atol=1e-6)


def test_clips_are_sorted_by_artist_and_stay_in_order_within_one() -> None:
    order, offsets = sort_clips([2, 0, 2, 0, 0], n_artists=3)
    assert order.tolist() == [1, 3, 4, 0, 2]
    assert offsets.tolist() == [0, 3, 3, 5]


def test_scores_of_the_sample_are_those_of_the_dense_definition(finished: Project) -> None:
    artifacts = finished.folder / "artifacts"
    scorer = Scorer.read(artifacts / "training/scorer.safetensors")
    similarity = Similarity.read(artifacts / "similarity")
    split, listens = Split.read(artifacts / "split.csv"), Listens.read(artifacts / "listens")
    known = add_listener_factors(TrainingArtists.from_split(similarity, split), listens, split)
    params = read_params("catalogue", CatalogueParams, PARAMS).model_copy(
        update={"collaborative_artists": 0, "collaborative_neighbours": 0}
    )
    made = score_catalogue(Spectrograms.read(artifacts / "spectrograms"), scorer, params, known)
    embeddings = torch.from_numpy(made.encoded.embeddings).double()
    with torch.inference_mode():
        logits = scorer.net.head.double().logit(embeddings, embeddings).numpy()
    index = np.repeat(np.arange(len(made.encoded)), made.encoded.clip_counts)
    head = head_of(scorer)
    expected = dense_scores(logits, index, params, known.locate(made.table["artist"]), head)
    every = np.arange(len(made.encoded))
    scores = made.calibration.apply(expected.total)
    np.testing.assert_allclose(made.siamese(every, every), expected.siamese, rtol=0, atol=1e-5)
    np.testing.assert_allclose(made.scores(every, every), scores, rtol=0, atol=1e-5)

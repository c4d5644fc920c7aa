"""Exact siamese scores of the candidates of many queries, compiled.

`scoring.pooled_scores` multiplies all clips of the queries with all clips of the candidates. Here
each query has candidates of its own. For a single query that function is as fast, and numba need
not be imported. Heads: cosine.
"""

import os
from concurrent.futures import ThreadPoolExecutor

import numpy as np

from twinear.catalogue.encoded import EncodedArtists, Floats, Ints
from twinear.catalogue.head import CosineHead
from twinear.catalogue.scoring import SHORTEST, Scoring, pool_clips
from twinear.compute.jit import compiled_sums


def rerank(
    scoring: Scoring, queries: EncodedArtists, candidates: EncodedArtists, rows: Ints
) -> Floats:
    """Score artists by their clips, (queries, m), as `pooled_scores` does.

    Parameters
    ----------
    rows
        (queries, m): rows in `candidates`; -1 for none, which has score 0.
    """
    head = scoring.head
    if not isinstance(head, CosineHead):
        raise TypeError(f"head {head}")
    scores = np.zeros(rows.shape, np.float32)
    embeddings = np.ascontiguousarray(candidates.embeddings)
    offsets = np.ascontiguousarray(candidates.clip_offsets)
    scale, bias = head.scale, head.bias
    terms = scale, bias, scoring.params.pooling_power
    means = scoring.params.pooling == "mean"
    u = pool_clips(queries, "mean") if means else np.ascontiguousarray(queries.embeddings)

    def fill(block: slice) -> None:
        some = rows[block], scores[block]
        if means:
            _score_means(u[block], embeddings, offsets, some[0], (scale, bias), some[1])
            return
        u_offsets = np.ascontiguousarray(queries.clip_offsets[block.start : block.stop + 1])
        _pool_pairs(u, u_offsets, embeddings, offsets, some[0], terms, some[1])

    cuts = np.linspace(0, len(rows), (os.cpu_count() or 1) + 1).astype(int).tolist()
    with ThreadPoolExecutor() as threads:
        list(threads.map(fill, map(slice, cuts, cuts[1:])))
    return scores


@compiled_sums
def _score_means(
    u: Floats,
    v: Floats,
    v_offsets: Ints,
    rows: Ints,
    terms: tuple[float, float],
    scores: Floats,
) -> None:
    """`u` has length 1, (queries, units); the clips of a candidate are added up on the way."""
    scale, bias = terms
    total = np.empty(u.shape[1], np.float32)
    for a in range(rows.shape[0]):
        for nth in range(rows.shape[1]):
            b = rows[a, nth]
            if b < 0:
                continue
            total[:] = 0
            for j in range(v_offsets[b], v_offsets[b + 1]):
                for k in range(u.shape[1]):
                    total[k] += v[j, k]
            product, square = np.float32(0), np.float32(0)
            for k in range(u.shape[1]):
                product += u[a, k] * total[k]
                square += total[k] * total[k]
            cosine = product / max(np.sqrt(square), SHORTEST)
            scores[a, nth] = 1 / (1 + np.exp(-(scale * cosine + bias)))


@compiled_sums
def _pool_pairs(
    u: Floats,
    u_offsets: Ints,
    v: Floats,
    v_offsets: Ints,
    rows: Ints,
    terms: tuple[float, float, float],
    scores: Floats,
) -> None:
    scale, bias, power = terms
    for a in range(rows.shape[0]):
        for nth in range(rows.shape[1]):
            b = rows[a, nth]
            if b < 0:
                continue
            total = 0.0
            for i in range(u_offsets[a], u_offsets[a + 1]):
                for j in range(v_offsets[b], v_offsets[b + 1]):
                    cosine = np.float32(0)
                    for k in range(u.shape[1]):
                        cosine += u[i, k] * v[j, k]
                    score = 1 / (1 + np.exp(-(scale * cosine + bias)))
                    total += score if power == 1 else score**power
            pairs = (u_offsets[a + 1] - u_offsets[a]) * (v_offsets[b + 1] - v_offsets[b])
            scores[a, nth] = (total / pairs) ** (1 / power)

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
from twinear.catalogue.scoring import Scoring
from twinear.compute.jit import compiled_sums


def rerank(
    scoring: Scoring, queries: EncodedArtists, candidates: EncodedArtists, rows: Ints
) -> Floats:
    """Pool the scores of all clip pairs, (queries, m), as `pooled_scores` does.

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
    terms = head.scale, head.bias, scoring.params.pooling_power

    def fill(block: slice) -> None:
        u_offsets = np.ascontiguousarray(queries.clip_offsets[block.start : block.stop + 1])
        u = np.ascontiguousarray(queries.embeddings)
        _pool_pairs(u, u_offsets, embeddings, offsets, rows[block], terms, scores[block])

    cuts = np.linspace(0, len(rows), (os.cpu_count() or 1) + 1).astype(int).tolist()
    with ThreadPoolExecutor() as threads:
        list(threads.map(fill, map(slice, cuts, cuts[1:])))
    return scores


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

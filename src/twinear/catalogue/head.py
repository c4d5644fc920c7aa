"""The head of a trained network without torch: embeddings of two clips to a score in (0, 1).

A catalogue is asked without the network, except for new clips. These are the formulas of
`twinear.model.heads`; a test compares the two.
"""

from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

if TYPE_CHECKING:
    from twinear.model.scorer import Scorer

Floats = npt.NDArray[np.float32]


@dataclass(frozen=True, kw_only=True)
class CosineHead:
    """`bias + scale * cos(u, v)` of embeddings of length 1."""

    scale: float
    bias: float

    def logit(self, u: Floats, v: Floats) -> Floats:
        """All pairs: (a, units) and (b, units), rows of length 1, to (a, b).

        Examples
        --------
        >>> u = np.eye(2, dtype=np.float32)
        >>> CosineHead(scale=10.0, bias=-5.0).logit(u, u).tolist()
        [[5.0, -5.0], [-5.0, 5.0]]
        """
        logits: Floats = u @ v.T
        logits *= np.float32(self.scale)
        logits += np.float32(self.bias)
        return logits


@dataclass(frozen=True, kw_only=True)
class L1Head:
    """`bias - sum_k weight_k |u_k - v_k|`; the weights may be negative."""

    weight: tuple[float, ...]
    bias: float

    def logit(self, u: Floats, v: Floats) -> Floats:
        """All pairs: (a, units) and (b, units) to (a, b)."""
        from twinear.catalogue.weighted_l1 import weighted_l1  # numba is slow to import

        distances = weighted_l1(np.ascontiguousarray(u), np.ascontiguousarray(v), self._weights)
        return np.float32(self.bias) - distances

    @property
    def _weights(self) -> Floats:
        return np.array(self.weight, np.float32)


Head = CosineHead | L1Head
KINDS: dict[str, type[CosineHead] | type[L1Head]] = {"cosine": CosineHead, "l1": L1Head}


def head_of(scorer: "Scorer") -> Head:
    """Take the head of a scorer."""
    weights, bias = scorer.weights, scorer.weights["head.bias"].item()
    if scorer.model.head == "cosine":
        return CosineHead(scale=weights["head.scale"].item(), bias=bias)
    return L1Head(weight=tuple(weights["head.weight"].tolist()), bias=bias)


def describe_head(head: Head) -> dict[str, Any]:
    """Give a head as plain values, for a file.

    Examples
    --------
    >>> describe_head(CosineHead(scale=10.0, bias=-5.0))
    {'kind': 'cosine', 'scale': 10.0, 'bias': -5.0}
    """
    kind = next(name for name, cls in KINDS.items() if isinstance(head, cls))
    return {"kind": kind, **asdict(head)}


def parse_head(values: dict[str, Any]) -> Head:
    """Read what `describe_head` gave.

    Raises
    ------
    KeyError, TypeError
        An unknown kind, a missing or an unknown field.
    """
    fields = dict(values)
    cls = KINDS[fields.pop("kind")]
    if cls is L1Head:
        fields["weight"] = tuple(fields["weight"])
    return cls(**fields)


def sigmoid(logits: Floats) -> Floats:
    """Overwrite logits by their sigmoid, which is several times as fast as a new array."""
    with np.errstate(over="ignore"):  # exp(-logit) may be infinite: the sigmoid is 0
        np.negative(logits, out=logits)
        np.exp(logits, out=logits)
    logits += np.float32(1)
    np.reciprocal(logits, out=logits)
    return logits

"""The last step of the siamese network: two embeddings to a logit.

- `WeightedL1`: the original's logistic neuron on `|u - v|`, `b - sum_k w_k |u_k - v_k|`. The
  weights may be negative, as in the original: the sum is one L1 distance over the positive weights
  minus one over the negative.
- `Cosine`: `b + s cos(u, v)` of embeddings of length 1, as the encoder makes them.

The sigmoid of the logit is the score, in (0, 1).
"""

import torch
from torch import Tensor, nn


class WeightedL1(nn.Module):
    """The original's head: a weighted L1 distance.

    Examples
    --------
    >>> head = WeightedL1(units=4)  # all weights are 1 / sqrt(4) before training
    >>> head.paired(torch.tensor([[1.0, 0.0, 0.0, 2.0]]), torch.zeros(1, 4)).item()
    -1.5
    """

    def __init__(self, units: int) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.full((units,), units**-0.5))
        self.bias = nn.Parameter(torch.zeros(()))

    def logit(self, u: Tensor, v: Tensor) -> Tensor:
        """All pairs: (a, units) and (b, units) to (a, b)."""
        plus, minus = self.weight.clamp(min=0), (-self.weight).clamp(min=0)
        return self.bias - _l1(u * plus, v * plus) + _l1(u * minus, v * minus)

    def paired(self, u: Tensor, v: Tensor) -> Tensor:
        """Row by row: (pairs, units) twice to (pairs,)."""
        return self.bias - (u - v).abs() @ self.weight

    @torch.no_grad()
    def rescale(self, slope: float, shift: float) -> None:
        """Make the logit `slope * logit + shift`."""
        self.weight.mul_(slope)
        self.bias.mul_(slope).add_(shift)


class Cosine(nn.Module):
    """The cosine of two embeddings, scaled and shifted.

    Examples
    --------
    >>> u = torch.tensor([[1.0, 0.0], [0.0, 1.0]])
    >>> Cosine().logit(u, u).tolist()  # before training: 10 cos(u, v) - 5
    [[5.0, -5.0], [-5.0, 5.0]]
    """

    START = 10.0  # the scale before training

    def __init__(self) -> None:
        super().__init__()
        self.scale = nn.Parameter(torch.tensor(self.START))
        self.bias = nn.Parameter(torch.tensor(-self.START / 2))

    def logit(self, u: Tensor, v: Tensor) -> Tensor:
        """All pairs: (a, units) and (b, units), rows of length 1, to (a, b)."""
        return self.bias + self.scale * (u @ v.T)

    def paired(self, u: Tensor, v: Tensor) -> Tensor:
        """Row by row: (pairs, units) twice to (pairs,)."""
        return self.bias + self.scale * (u * v).sum(dim=1)

    @torch.no_grad()
    def rescale(self, slope: float, shift: float) -> None:
        """Make the logit `slope * logit + shift`."""
        self.scale.mul_(slope)
        self.bias.mul_(slope).add_(shift)


def _l1(u: Tensor, v: Tensor) -> Tensor:
    return torch.cdist(u, v, p=1)

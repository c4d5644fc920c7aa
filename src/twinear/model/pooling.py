"""How the clips of two artists become one score: by pairs of clips, or by mean embeddings.

`twinear.catalogue.scoring` defines the score. Training decides what it keeps by the same one.
"""

from pathlib import Path
from typing import Literal

from twinear.base.params import PARAMS, Params, parse_params, read_sections

Pooling = Literal["pairs", "mean"]


class PoolingParams(Params):
    """The key of the section `catalogue` that training reads too."""

    pooling: Pooling


def read_pooling(path: Path = PARAMS) -> Pooling:
    """Read this key; the others are of a later stage."""
    section = read_sections(path).get("catalogue", {})
    chosen = {key: section[key] for key in PoolingParams.model_fields if key in section}
    return parse_params("catalogue", PoolingParams, chosen, path).pooling

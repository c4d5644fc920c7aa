"""How a catalogue scores, searches, and what it keeps: the section `catalogue` of params.yaml."""

from pydantic import Field

from twinear.model.pooling import PoolingParams


class CatalogueParams(PoolingParams):
    """How clips are pooled, how much each part of the score counts, and how artists are searched.

    A weight of 0 leaves its part out.
    """

    csls_weight: float = Field(ge=0)
    collaborative_weight: float = Field(ge=0)
    collaborative_inverse_temperature: float = Field(gt=0)
    collaborative_artists: int = Field(ge=0)
    collaborative_neighbours: int = Field(ge=0)
    collaborative_denoised: float = Field(ge=0, le=1)
    popularity_weight: float = Field(ge=0)
    pooling_power: float = Field(gt=0, le=40)
    n_neighbours: int = Field(ge=0)
    search: str = Field(pattern=r"^(auto|exact|faiss|qdrant://[^/:\s]+:[0-9]{1,5})$")
    exact_below: int = Field(ge=0)

"""The shape of the network, which is saved with its weights."""

from typing import Annotated, Literal

from pydantic import Field, ValidationInfo, field_validator

from twinear.base.params import Params

Positive = Annotated[int, Field(gt=0)]
Branches = Literal["convolutions", "statistics", "both"]
HeadName = Literal["l1", "cosine"]  # the classes of `heads`
MAX_SPAN = 4096  # frames between two inputs of the last convolution


class ModelParams(Params):
    """Branches, layers and head."""

    branches: Branches
    conv_depth: int = Field(ge=1, le=12)
    kernel_size: int = Field(ge=1, le=31)
    channels: Positive
    time_downsampling: Positive
    max_pool: tuple[Positive, ...]
    dilation: int = Field(ge=1, le=8)
    residual: bool
    global_pooling: Literal["max", "statistics"]
    dense_units: Positive
    statistics_units: Positive
    # to choose from; a scorer's own holds the chosen one
    embeddings_shares: tuple[Annotated[float, Field(ge=0, le=1)], ...] = Field(min_length=1)
    dropout: float = Field(ge=0, lt=1)
    head: HeadName

    @field_validator("dilation")
    @classmethod
    def _within_a_clip(cls, dilation: int, info: ValidationInfo) -> int:
        if dilation ** (info.data.get("conv_depth", 1) - 1) > MAX_SPAN:
            raise ValueError(f"less: the last layer would span over {MAX_SPAN} frames")
        return dilation

    @property
    def joined_share(self) -> float:
        """The share of embeddings that are joined to a log-mel: the first between 0 and 1, or 0."""
        return next((share for share in self.embeddings_shares if 0 < share < 1), 0.0)

    @property
    def pools(self) -> list[int]:
        """Max pooling after each layer but the last: `max_pool`, cut or filled up with 1."""
        return [*self.max_pool, *[1] * self.conv_depth][: self.conv_depth - 1]

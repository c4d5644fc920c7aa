"""The data of a run as MLflow shows them: name, hash, schema, source."""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

Context = Literal["training", "testing"]
DIGEST_LETTERS = 32  # of 36 that MLflow takes


@dataclass(frozen=True, kw_only=True)
class TrackedData:
    """Data that a scorer was trained or evaluated on.

    Attributes
    ----------
    name
        As it is shown.
    source
        The file or folder that was read.
    digest
        SHA-256 of its content: the same digest is the same data.
    schema
        The columns of a table, name -> MLflow's word for the type ("string", "long", "float"), or
        the shape of an array.
    dtype
        Of an array.
    """

    name: str
    source: Path
    digest: str
    schema: Mapping[str, str] | tuple[int, ...]
    dtype: str = "float32"

    @property
    def short_digest(self) -> str:
        """The digest as MLflow takes it."""
        return self.digest[:DIGEST_LETTERS]


def to_dataset(data: TrackedData) -> Any:
    """Make MLflow's own object; it holds no data."""
    import numpy as np
    from mlflow.data.meta_dataset import MetaDataset
    from mlflow.data.schema import TensorDatasetSchema
    from mlflow.data.sources import LocalArtifactDatasetSource
    from mlflow.types import ColSpec, Schema, TensorSpec

    class TensorDataset(MetaDataset):  # type: ignore[misc]
        """MLflow's own writes the schema of a table only."""

        def to_dict(self) -> dict[str, str]:
            schema = TensorDatasetSchema(features=self.schema).to_dict()
            return {**super().to_dict(), "schema": json.dumps(schema)}

    source = LocalArtifactDatasetSource(str(data.source))
    if isinstance(data.schema, tuple):
        schema = Schema([TensorSpec(np.dtype(data.dtype), data.schema)])
        return TensorDataset(source, name=data.name, digest=data.short_digest, schema=schema)
    columns = Schema([ColSpec(kind, name) for name, kind in data.schema.items()])
    return MetaDataset(source, name=data.name, digest=data.short_digest, schema=columns)

"""Search on a Qdrant server, for catalogues larger than one machine's memory.

The vectors of a catalogue are one collection of the server, named by the hash of the vectors: two
catalogues never mix, and a build that was interrupted goes on where it stopped. What the server
holds is written nowhere else but in its collection; the folder of the index holds the name of the
collection.
"""

import hashlib
import json
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from types import ModuleType
from typing import TYPE_CHECKING

import numpy as np

from twinear.base.errors import DataError
from twinear.base.files import replacing, require, write_json
from twinear.catalogue.search.protocol import (
    Floats,
    Hits,
    Ints,
    Mask,
    Progress,
    best_hits,
    no_hits,
)

if TYPE_CHECKING:
    from qdrant_client import QdrantClient

SCHEME = "qdrant://"
FACTS = "qdrant.json"
PREFIX = "twinear-"  # of the names of collections
BATCH = 1024  # vectors sent at a time
SECONDS = 60  # for one answer
REBUILD = "run 'dvc repro --force --single-item catalogue' to write it there"


@dataclass(frozen=True, kw_only=True, eq=False)
class QdrantSearch:
    """A collection of a server, which holds vectors with their rows as ids.

    Attributes
    ----------
    place
        `qdrant://host:port`, for messages.
    """

    client: "QdrantClient"
    collection: str
    n_vectors: int
    place: str

    @property
    def exact(self) -> bool:
        """Rows may be missed."""
        return False

    def search(self, queries: Floats, n: int, allowed: Mask | None = None) -> Hits:
        """See `Search.search`.

        A filter is sent as the rows that are allowed or that are not, whichever are fewer.
        """
        models = _qdrant().models
        n_allowed = self.n_vectors if allowed is None else int(np.count_nonzero(allowed))
        hits = no_hits(len(queries), n)
        if not len(queries) or not min(n, n_allowed):
            return hits
        requests = [
            models.QueryRequest(
                query=query.tolist(),
                limit=min(n, n_allowed),
                filter=_filter(allowed),
                params=models.SearchParams(hnsw_ef=max(2 * n, 128)),
            )
            for query in queries
        ]
        with _server_errors(self.place, f"could not search '{self.collection}'"):
            answers = self.client.query_batch_points(self.collection, requests)
        for query, answer in enumerate(answers):
            for nth, point in enumerate(answer.points):
                hits.rows[query, nth], hits.products[query, nth] = point.id, point.score
        return best_hits(hits.rows, hits.products, n)


def build_qdrant(
    client: "QdrantClient", place: str, vectors: Floats, folder: Path, progress: Progress = iter
) -> None:
    """Send vectors, (vectors, n_dims), to a server and write a folder that names the collection.

    What the server has already is not sent again.

    Raises
    ------
    DataError
        The server is away or refuses.
    """
    models = _qdrant().models
    n_vectors, n_dims = vectors.shape
    collection = PREFIX + _hash_vectors(vectors)[:16]
    with _server_errors(place, f"could not store '{collection}'"):
        if not client.collection_exists(collection):
            sizes = models.VectorParams(size=n_dims, distance=models.Distance.DOT, on_disk=True)
            client.create_collection(collection, vectors_config=sizes)
        stored = client.count(collection, exact=True).count
        for start in progress(range(stored // BATCH * BATCH, n_vectors, BATCH)):
            block = vectors[start : start + BATCH]
            ids = range(start, start + len(block))
            points = models.Batch(ids=list(ids), vectors=block.tolist())
            client.upsert(collection, points, wait=True)
    with replacing(folder) as temporary:
        temporary.mkdir()
        write_json(temporary / FACTS, {"collection": collection, "n_vectors": n_vectors})


def open_qdrant(client: "QdrantClient", place: str, vectors: Floats, folder: Path) -> QdrantSearch:
    """Open the collection that `build_qdrant` filled.

    Raises
    ------
    DataError
        The folder is missing or damaged; the server is away, lacks the collection, or holds a part
        of it.
    """
    path = require(folder / FACTS, "run 'dvc repro catalogue'")
    try:
        facts = json.loads(path.read_text(encoding="utf-8"))
        collection, n_vectors = str(facts["collection"]), int(facts["n_vectors"])
    except (ValueError, KeyError, TypeError) as error:
        found = f"is not what was written there ({error})"
        raise DataError(path, found, remedy="run 'dvc repro catalogue'") from error
    if n_vectors != len(vectors):
        found, expected = f"names {n_vectors} vectors", f"{len(vectors)}"
        raise DataError(path, found, expected=expected, remedy=REBUILD)
    with _server_errors(place, f"could not open '{collection}'"):
        names = [held.name for held in client.get_collections().collections]
        stored = client.count(collection, exact=True).count if collection in names else 0
    if collection not in names:
        others = [name for name in names if name.startswith(PREFIX)]
        found = f"holds another catalogue ({', '.join(others)})" if others else "holds no catalogue"
        raise DataError(place, found, expected=collection, remedy=REBUILD)
    if stored != n_vectors:
        found = f"holds {stored:,} vectors of '{collection}'"
        raise DataError(place, found, expected=f"{n_vectors:,}", remedy=REBUILD)
    return QdrantSearch(client=client, collection=collection, n_vectors=n_vectors, place=place)


@cache
def connect(place: str) -> "QdrantClient":
    """Make a client of `qdrant://host:port`; nothing is sent yet.

    Raises
    ------
    DataError
        The client is not installed.
    """
    url = "http://" + place.removeprefix(SCHEME)
    # the check of versions would warn, not fail, when the server is away
    return _qdrant().QdrantClient(url=url, timeout=SECONDS, check_compatibility=False)  # type: ignore[no-any-return]


def _qdrant() -> ModuleType:
    try:
        import qdrant_client  # an extra, and slow to import
    except ModuleNotFoundError as error:
        found = "needs the package qdrant-client, which is not installed"
        remedy = "pip install 'twinear[qdrant]'"
        raise DataError("catalogue.search", found, remedy=remedy) from error
    return qdrant_client


def _filter(allowed: Mask | None) -> object:
    if allowed is None:
        return None
    models = _qdrant().models
    n_allowed = int(np.count_nonzero(allowed))
    few = n_allowed <= len(allowed) - n_allowed
    rows: Ints = np.flatnonzero(allowed if few else ~allowed)
    condition = [models.HasIdCondition(has_id=rows.tolist())]
    return models.Filter(must=condition) if few else models.Filter(must_not=condition)


@contextmanager
def _server_errors(place: str, failed: str) -> Iterator[None]:
    from qdrant_client.common.client_exceptions import QdrantException
    from qdrant_client.http.exceptions import ApiException, ResponseHandlingException

    try:
        yield
    except ResponseHandlingException as error:
        remedy = "start the server, or correct catalogue.search in params.yaml"
        raise DataError(place, f"{failed}: it does not answer ({error})", remedy=remedy) from error
    except (ApiException, QdrantException) as error:
        reason = " ".join(str(error).split())
        remedy = "see the server's log"
        raise DataError(place, f"{failed}: it refuses ({reason})", remedy=remedy) from error


def _hash_vectors(vectors: Floats) -> str:
    digest = hashlib.sha256(repr(vectors.shape).encode())
    for start in range(0, len(vectors), BATCH):
        digest.update(np.ascontiguousarray(vectors[start : start + BATCH]).tobytes())
    return digest.hexdigest()

"""The searches by name, as in `catalogue.search` of params.yaml.

- `exact`: every vector is looked at;
- `faiss`: approximate, an index in memory-mapped files;
- `qdrant://host:port`: approximate, on a server;
- `auto`: `exact` below a number of vectors, else `faiss`.
"""

import re
from pathlib import Path

from twinear.base.errors import ParamsError
from twinear.catalogue.search.exact import ExactSearch
from twinear.catalogue.search.protocol import Floats, Progress, Search

ADDRESS = re.compile(r"qdrant://[^/:\s]+:[0-9]{1,5}")


def choose_search(name: str, n_vectors: int, exact_below: int) -> str:
    """Replace `auto` by the search that it stands for.

    Raises
    ------
    ParamsError
        There is no such search.

    Examples
    --------
    >>> choose_search("auto", 1000, 50_000), choose_search("auto", 1_000_000, 50_000)
    ('exact', 'faiss')
    """
    if name == "auto":
        return "exact" if n_vectors < exact_below else "faiss"
    if name not in ("exact", "faiss") and not ADDRESS.fullmatch(name):
        expected = "auto, exact, faiss or qdrant://host:port"
        raise ParamsError("catalogue.search", f"is '{name}'", expected=expected)
    return name


def build_search(
    name: str,
    vectors: Floats,
    folder: Path,
    progress: Progress = iter,
    queries: Floats | None = None,
) -> None:
    """Index vectors, (vectors, n_dims), into a folder; an exact search needs none.

    `queries` are like those that will be asked; None: they are like the vectors.

    Raises
    ------
    DataError
        The folder cannot be written, or the server is away.
    """
    if name == "faiss":
        from twinear.catalogue.search.faiss_search import build_faiss

        build_faiss(vectors, folder, progress, queries)
    elif name != "exact":
        from twinear.catalogue.search.qdrant_search import build_qdrant, connect

        build_qdrant(connect(name), name, vectors, folder, progress)


def open_search(name: str, vectors: Floats, folder: Path) -> Search:
    """Open what `build_search` made for these vectors, which may be memory-mapped.

    Raises
    ------
    DataError
        The index is missing, damaged, half-written or of other vectors; the server is away.
    """
    if name == "exact":
        return ExactSearch(vectors=vectors)
    if name == "faiss":
        from twinear.catalogue.search.faiss_search import open_faiss

        return open_faiss(vectors, folder)
    from twinear.catalogue.search.qdrant_search import connect, open_qdrant

    return open_qdrant(connect(name), name, vectors, folder)

"""The library that the doors answer from: what `twinear library sync` wrote, beside a snapshot."""

import logging
import threading
from collections.abc import Hashable
from dataclasses import dataclass, field
from typing import Annotated

from fastapi import Depends, Request

from twinear.base.errors import DataError, TwinearError
from twinear.base.files import require
from twinear.recommendation.item_library import ItemLibrary
from twinear.recommendation.library_cache import FileState, LibraryCache
from twinear.recommendation.library_table import REMEDY
from twinear.serve.dependencies import CurrentSnapshot
from twinear.serve.options import ServeOptions
from twinear.serve.snapshot import Snapshot

log = logging.getLogger(__name__)


@dataclass(eq=False)
class Libraries:
    """The libraries of the latest snapshots: each opened once, and again when its table changed."""

    options: ServeOptions
    _lock: threading.Lock = field(default_factory=threading.Lock)
    _opened: dict[Hashable, ItemLibrary | None] = field(default_factory=dict)

    def take(self, snapshot: Snapshot) -> None:
        """Begin to open the library of a new snapshot; only who asks for it waits."""
        threading.Thread(target=self.of, args=(snapshot,), name="library", daemon=True).start()

    def of(self, snapshot: Snapshot) -> ItemLibrary | None:
        """Give the library of a snapshot; None where there is none that can be used."""
        try:
            key = snapshot, FileState.of(self.options.items)
        except OSError:
            return None
        with self._lock:
            if key not in self._opened:
                latest = list(self._opened.items())[-1:]  # requests in flight may still need it
                self._opened = dict(latest) | {key: self._open(snapshot)}
            return self._opened[key]

    def _open(self, snapshot: Snapshot) -> ItemLibrary | None:
        collection = snapshot.collection
        try:
            cache_file = require(self.options.library, REMEDY)
            sha256, units = collection.catalogue.scorer_sha256, snapshot.scorer.units
            with LibraryCache.open(cache_file, sha256, units) as cache:
                library = ItemLibrary.open(self.options.items, cache, collection)
        except TwinearError as error:
            log.warning("library not taken: %s", error)
            return None
        facts = {"items": len(library.items), "left_out": library.left_out.counts}
        log.info("library", extra={"facts": facts})
        return library


def library_of(request: Request, snapshot: CurrentSnapshot) -> ItemLibrary | None:
    """Give the library that goes with the request's snapshot."""
    libraries: Libraries = request.app.state.libraries
    return libraries.of(snapshot)


CurrentLibrary = Annotated[ItemLibrary | None, Depends(library_of)]


def require_library(library: ItemLibrary | None) -> ItemLibrary:
    """Return the library.

    Raises
    ------
    DataError
        There is none.
    """
    if library is None:
        raise DataError("library", "there is none", remedy=REMEDY)
    return library

"""The formats of text files that are recognised by what they hold; no two claim the same file.

Before them come archives and Parquet; after them tables with named columns.
"""

from twinear.listens.readers import (
    hetrec,
    lastfm,
    lastfm_datasets,
    lfm,
    listenbrainz,
    listenbrainz_exports,
    scrobblers,
    streaming,
)
from twinear.listens.readers.rows import ListensFormat, PairedFormat

FORMATS: tuple[ListensFormat, ...] = (
    *lastfm_datasets.FORMATS,
    *listenbrainz.FORMATS,
    *listenbrainz_exports.FORMATS,
    *streaming.FORMATS,
    *lastfm.FORMATS,
    *scrobblers.FORMATS,
)
PAIRED: tuple[PairedFormat, ...] = (hetrec.HETREC, *lfm.FORMATS)
# the values of listens.format
NAMES = (
    *dict.fromkeys(each.name for each in FORMATS),
    *dict.fromkeys(each.name for each in PAIRED),
    *("listenbrainz_spark", "table"),
)

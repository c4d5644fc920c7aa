"""The formats of text files that are recognised by what they hold; no two claim the same file.

Before them come archives, Parquet and dumps of ListenBrainz; after them tables with named columns.
"""

from twinear.listens.readers import lastfm, listenbrainz_exports, scrobblers, streaming
from twinear.listens.readers.rows import ListensFormat

FORMATS: tuple[ListensFormat, ...] = (
    *listenbrainz_exports.FORMATS,
    *streaming.FORMATS,
    *lastfm.FORMATS,
    *scrobblers.FORMATS,
)

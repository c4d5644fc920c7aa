"""The formats of text files that are recognised by what they hold; the first that fits is taken.

Before them come archives, Parquet and dumps of ListenBrainz; after them tables with named columns.
"""

from twinear.listens.readers.lastfm_datasets import LASTFM_1K, LASTFM_360K
from twinear.listens.readers.rows import ListensFormat

FORMATS: tuple[ListensFormat, ...] = (LASTFM_360K, LASTFM_1K)
# The values of listens.format, beside auto.
NAMES = (
    *dict.fromkeys(each.name for each in FORMATS),
    *("hetrec", "listenbrainz", "listenbrainz_spark", "table"),
)

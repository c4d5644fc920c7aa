"""The formats of text files that are recognised by what they hold; the first that fits is taken.

Before them come archives, Parquet and dumps of ListenBrainz; after them tables with named columns.
"""

from twinear.listens.readers.rows import ListensFormat

FORMATS: tuple[ListensFormat, ...] = ()

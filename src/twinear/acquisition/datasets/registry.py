"""The data sets that can be fetched: where they are, under what terms, and how they are checked.

Checksums are from the data sets' own pages and read-me files. Where none is published, the SHA-256
of what was downloaded is recorded, so that it can be compared.
"""

import os
from collections.abc import Mapping
from dataclasses import dataclass

from twinear.base.errors import TwinearError

BASE_URL = "TWINEAR_DATASETS_URL"  # environment: another place that serves the archives
GB = 10**9


@dataclass(frozen=True, kw_only=True)
class Dataset:
    """A data set of listens."""

    name: str
    archive: str  # name of the archive's file
    url: str  # of its folder
    files: Mapping[str, str]  # the files to extract -> their MD5; "" where not published
    licence: str
    size: int = 0  # of the archive; 0 where not published
    md5: str = ""  # of the archive; "" where not published
    max_archive: int  # bytes beyond which the archive is refused
    max_files: int  # bytes beyond which the files are refused

    @property
    def address(self) -> str:
        """The URL of the archive; the environment may name another place."""
        base = os.environ.get(BASE_URL) or self.url
        if not base.startswith(("http://", "https://")):
            raise TwinearError(BASE_URL, repr(base), expected="http:// or https://")
        return f"{base.rstrip('/')}/{self.archive}"


LASTFM_TERMS = (
    "distributed with permission of Last.fm, for non-commercial use only; "
    "cite O. Celma, Music Recommendation and Discovery in the Long Tail, Springer 2010"
)
HETREC_TERMS = (
    "for non-commercial use only; cite I. Cantador, P. Brusilovsky, T. Kuflik, HetRec 2011, "
    "RecSys 2011, and mention https://www.last.fm"
)

DATASETS = (
    Dataset(
        name="lastfm-360k",
        archive="lastfm-dataset-360K.tar.gz",
        url="https://zenodo.org/records/6090214/files",
        size=569_202_935,
        md5="635e6ed3fc873aa4ba33aba0ebce02b1",
        files={
            "usersha1-artmbid-artname-plays.tsv": "be672526eb7c69495c27ad27803148f1",
            "usersha1-profile.tsv": "51159d4edf6a92cb96f87768aa2be678",
        },
        licence=LASTFM_TERMS,
        max_archive=1 * GB,
        max_files=4 * GB,
    ),
    Dataset(
        name="lastfm-1k",
        archive="lastfm-dataset-1K.tar.gz",
        url="http://mtg.upf.edu/static/datasets/last.fm",
        files={  # the read-me has checksums of the files only
            "userid-timestamp-artid-artname-traid-traname.tsv": "64747b21563e3d2aa95751e0ddc46b68",
            "userid-profile.tsv": "c53608b6b445db201098c1489ea497df",
        },
        licence=LASTFM_TERMS,
        max_archive=2 * GB,
        max_files=6 * GB,
    ),
    Dataset(
        name="hetrec",
        archive="hetrec2011-lastfm-2k.zip",
        url="https://files.grouplens.org/datasets/hetrec2011",
        files={"user_artists.dat": "", "artists.dat": ""},
        licence=HETREC_TERMS,
        max_archive=GB // 10,
        max_files=GB // 10,
    ),
)


def find_dataset(name: str) -> Dataset:
    """The data set of that name."""
    return next(dataset for dataset in DATASETS if dataset.name == name)

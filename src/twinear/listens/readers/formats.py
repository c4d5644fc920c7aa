"""The formats of listens, and how their files are recognised.

Five formats: Last.fm-360K (tab-separated, no header, optionally with its profiles), Last.fm-1K (one
line for each listen), HetRec 2011 (`user_artists.dat` with `artists.dat`), ListenBrainz dumps
(JSON lines in `listens/YYYY/M.listens`, in a tar archive or a folder) and tables with named columns
(CSV, TSV, Parquet, JSON lines). Every file but Parquet may be compressed (.gz, .zst, .bz2).
`redirects.csv`, the merged MusicBrainz ids, may lie beside them.
"""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from twinear.base.errors import DataError
from twinear.base.files import require
from twinear.base.params import Params

Format = Literal["lastfm_360k", "lastfm_1k", "hetrec", "listenbrainz", "table"]

# The file of plays, by which a format is recognised, and the file that belongs beside it.
PLAYS: dict[Format, str] = {
    "lastfm_360k": "usersha1-artmbid-artname-plays.tsv",
    "lastfm_1k": "userid-timestamp-artid-artname-traid-traname.tsv",
    "hetrec": "user_artists.dat",
}
BESIDE: dict[Format, str] = {"lastfm_360k": "usersha1-profile.tsv", "hetrec": "artists.dat"}
BESIDE_1K = "userid-profile.tsv"  # comes with Last.fm-1K and is not used
TIMED: tuple[Format, ...] = ("lastfm_1k", "listenbrainz")  # with a time on every line
REDIRECTS = "redirects.csv"
SOURCE = "source.json"  # origin and terms of listens that were fetched

COMPRESSED = (".gz", ".zst", ".bz2")
TABLES = (".csv", ".tsv", ".jsonl", ".ndjson", ".parquet")
ARCHIVES = (".tar", ".tgz")
MONTH = re.compile(r"(?:^|/)\d{4}/\d{1,2}\.listens$")  # the files of listens in a ListenBrainz dump

RECOGNISED = (
    f"{', '.join(PLAYS.values())}, a ListenBrainz dump (.tar, .tar.zst, .tar.gz, …/YYYY/M.listens) "
    f"or one *{', *'.join(TABLES)}"
)
REMEDY = "bring listens in with 'twinear import'"


class TableColumns(Params):
    """The names of a table's columns; the table may lack the column of `mbid`."""

    listener: str
    artist: str
    mbid: str
    plays: str


@dataclass(frozen=True, kw_only=True)
class ListensFiles:
    """The files of one source of listens.

    Parameters
    ----------
    plays
        The file of listens, or the folder if there are several.
    months
        The files in that folder, in the order of time; only in an unpacked ListenBrainz dump.
    beside
        Profiles of Last.fm-360K, artists of HetRec.
    """

    format: Format
    plays: Path
    months: tuple[Path, ...] = ()
    beside: Path | None = None
    redirects: Path | None = None

    @property
    def paths(self) -> list[Path]:
        """All files."""
        others = (path for path in (self.beside, self.redirects) if path is not None)
        return [*(self.months or (self.plays,)), *others]

    @property
    def names(self) -> list[str]:
        """The paths of all files, relative to their folder."""
        folder = self.plays if self.months else self.plays.parent
        return [
            path.relative_to(folder).as_posix() if path.is_relative_to(folder) else path.name
            for path in self.paths
        ]


def find_listens(source: Path, form: Format | Literal["auto"] = "auto") -> ListensFiles:
    """Find the files of listens: `source` is one of them, or their folder.

    Raises
    ------
    DataError
        Missing, not recognised, or more than one table or archive.
    """
    require(source, REMEDY)
    folder = source if source.is_dir() else source.parent
    paths = [source] if source.is_file() else sorted(filter(Path.is_file, source.iterdir()))
    paths = [path for path in paths if path.name != REDIRECTS]
    months = () if source.is_file() else _find_months(source)
    if form == "auto":
        form = _recognise(paths, months)
    if form == "listenbrainz":
        candidates = [path for path in paths if file_type(path) in (*ARCHIVES, ".listens")]
        if months and not candidates:
            candidates = [source]
    else:
        candidates = [path for path in paths if bare_name(path) == PLAYS.get(form)]
        if not candidates:
            others = {*BESIDE.values(), BESIDE_1K}
            tables = (path for path in paths if file_type(path) in TABLES)
            candidates = [path for path in tables if bare_name(path) not in others]
    if len(candidates) != 1:
        found = ", ".join(path.name for path in candidates) or "no listens"
        raise DataError(source, f"holds {found}", expected=RECOGNISED, remedy=REMEDY)
    plays = require(candidates[0], REMEDY)
    beside = None
    if form in BESIDE:
        paths = [plays.with_name(BESIDE[form] + suffix) for suffix in ("", *COMPRESSED)]
        beside = next((path for path in paths if path.is_file()), None)
        if beside is None and form == "hetrec":
            beside = require(paths[0], "put it beside the listens")
    redirects = folder / REDIRECTS
    return ListensFiles(
        format=form,
        plays=plays,
        months=months if plays == source else (),
        beside=beside,
        redirects=redirects if redirects.is_file() else None,
    )


def bare_name(path: Path) -> str:
    """Return the file's name without the suffix of its compression.

    Examples
    --------
    >>> bare_name(Path("plays.csv.gz")), bare_name(Path("plays.csv"))
    ('plays.csv', 'plays.csv')
    """
    return path.stem if path.suffix.lower() in COMPRESSED else path.name


def file_type(path: Path) -> str:
    """Return the suffix before that of the compression, in lower case.

    Examples
    --------
    >>> file_type(Path("Plays.CSV.gz"))
    '.csv'
    """
    return Path(bare_name(path)).suffix.lower()


def _find_months(folder: Path) -> tuple[Path, ...]:
    """Find the files of an unpacked ListenBrainz dump, in the order of time."""
    depths = ("*/*.listens*", "*/*/*.listens*", "*/*/*/*.listens*")
    paths = (path for depth in depths for path in folder.glob(depth) if path.is_file())
    months = [path for path in paths if MONTH.search(path.with_name(bare_name(path)).as_posix())]
    return tuple(sorted(months, key=lambda path: (path.parent, int(path.name.split(".")[0]))))


def _recognise(paths: Sequence[Path], months: Sequence[Path]) -> Format:
    names = {bare_name(path) for path in paths}
    for form, name in PLAYS.items():
        if name in names:
            return form
    types = {file_type(path) for path in paths}
    return "listenbrainz" if months or types & {*ARCHIVES, ".listens"} else "table"

"""Which files are listens, and of what format.

Five formats: Last.fm-360K (tab-separated, no header, optionally with its profiles), Last.fm-1K (one
line for each listen), HetRec 2011 (`user_artists.dat` with `artists.dat`), ListenBrainz dumps
(JSON lines in `listens/YYYY/M.listens`, in a tar archive or a folder) and tables with named columns
(CSV, TSV, Parquet, JSON lines). Every file but Parquet may be compressed (.gz, .zst, .bz2).
Beside them may stand `redirects.csv`, the merged MusicBrainz ids.
"""

import re
from collections.abc import Callable, Sequence
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
BESIDE_1K = "userid-profile.tsv"  # comes with Last.fm-1K and says nothing that is asked here
TIMED: tuple[Format, ...] = ("lastfm_1k", "listenbrainz")  # have a time on every line
REDIRECTS = "redirects.csv"
SOURCE = "source.json"  # where listens that were fetched are from, and their terms

COMPRESSED = (".gz", ".zst", ".bz2")
TABLES = (".csv", ".tsv", ".jsonl", ".ndjson", ".parquet")
ARCHIVES = (".tar", ".tgz")
MONTH = re.compile(r"(?:^|/)\d{4}/\d{1,2}\.listens$")  # where a ListenBrainz dump has its listens

RECOGNISED = (
    f"{', '.join(PLAYS.values())}, a ListenBrainz dump (.tar, .tar.zst, .tar.gz, …/YYYY/M.listens) "
    f"or one *{', *'.join(TABLES)}"
)
REMEDY = "bring listens in with 'twinear import'"


class TableColumns(Params):
    """The names of a table's columns; that of `mbid` may be missing from it."""

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
        The file that holds them, or of several the folder.
    months
        The files in that folder, in the order of time; only of an unpacked ListenBrainz dump.
    beside
        Profiles of Last.fm-360K, artists of HetRec.
    redirects
        The merged MusicBrainz ids.
    """

    format: Format
    plays: Path
    months: tuple[Path, ...] = ()
    beside: Path | None = None
    redirects: Path | None = None

    @property
    def paths(self) -> list[Path]:
        """All of them."""
        others = (path for path in (self.beside, self.redirects) if path is not None)
        return [*(self.months or (self.plays,)), *others]

    @property
    def names(self) -> list[str]:
        """The path of each of them from the folder where they are."""
        folder = self.plays if self.months else self.plays.parent
        return [
            path.relative_to(folder).as_posix() if path.is_relative_to(folder) else path.name
            for path in self.paths
        ]


def find_listens(source: Path, form: Format | Literal["auto"] = "auto") -> ListensFiles:
    """Find the files of listens: `source` is one of them, or the folder that holds them.

    Raises
    ------
    DataError
        Nothing there, nothing recognised, or more than one table or archive.
    """
    require(source, REMEDY)
    folder = source if source.is_dir() else source.parent
    paths = [source] if source.is_file() else sorted(filter(Path.is_file, source.iterdir()))
    paths = [path for path in paths if path.name != REDIRECTS]
    months = () if source.is_file() else _months(source)
    known = _recognised(paths, months) if form == "auto" else form
    dump = _find_dump(source, paths, months) if known == "listenbrainz" else None
    plays = dump or require(_find_plays(source, paths, known), REMEDY)
    redirects = folder / REDIRECTS
    return ListensFiles(
        format=known,
        plays=plays,
        months=months if plays == source and known == "listenbrainz" else (),
        beside=_beside(plays, known),
        redirects=redirects if redirects.is_file() else None,
    )


def bare_name(path: Path) -> str:
    """The file's name without what says that it is compressed."""
    return path.stem if path.suffix.lower() in COMPRESSED else path.name


def kind_of(path: Path) -> str:
    """The suffix that says what the file is, in lower case."""
    return Path(bare_name(path)).suffix.lower()


def _months(folder: Path) -> tuple[Path, ...]:
    """The files of an unpacked ListenBrainz dump."""
    depths = ("*/*.listens*", "*/*/*.listens*", "*/*/*/*.listens*")
    found = (path for depth in depths for path in folder.glob(depth) if path.is_file())
    months = [path for path in found if MONTH.search(path.with_name(bare_name(path)).as_posix())]
    return tuple(sorted(months, key=lambda path: (path.parent, int(path.name.split(".")[0]))))


def _recognised(paths: Sequence[Path], months: Sequence[Path]) -> Format:
    names = {bare_name(path) for path in paths}
    usual = next((known for known, name in PLAYS.items() if name in names), None)
    if usual:
        return usual
    kinds = {kind_of(path) for path in paths}
    return "listenbrainz" if months or kinds & {*ARCHIVES, ".listens"} else "table"


def _find_dump(source: Path, paths: Sequence[Path], months: Sequence[Path]) -> Path:
    dumps = [path for path in paths if kind_of(path) in (*ARCHIVES, ".listens")]
    if months and not dumps:
        return source
    return _only_one(source, dumps)


def _find_plays(source: Path, paths: Sequence[Path], known: Format) -> Path:
    usual = _those(paths, lambda path: bare_name(path) == PLAYS.get(known))
    beside = {*BESIDE.values(), BESIDE_1K}
    tables = _those(paths, lambda path: kind_of(path) in TABLES and bare_name(path) not in beside)
    return _only_one(source, usual or tables)


def _those(paths: Sequence[Path], wanted: Callable[[Path], bool]) -> list[Path]:
    return [path for path in paths if wanted(path)]


def _only_one(source: Path, paths: list[Path]) -> Path:
    if len(paths) != 1:
        found = ", ".join(path.name for path in paths) or "no listens"
        raise DataError(source, f"holds {found}", expected=RECOGNISED, remedy=REMEDY)
    return paths[0]


def _beside(plays: Path, known: Format) -> Path | None:
    if known not in BESIDE:
        return None
    names = [BESIDE[known] + suffix for suffix in ("", *COMPRESSED)]
    beside = [plays.with_name(name) for name in names if plays.with_name(name).is_file()]
    if not beside and known == "hetrec":
        return require(plays.with_name(BESIDE[known]), "put it beside the listens")
    return beside[0] if beside else None

"""Who played whom: files of listens, cleaned and counted.

Every row is kept or dropped by the first of the `RULES` that applies, and counted there; what
remains of one listener and one artist is added up. Rows are numbers from the moment they are read
(`lines`), and are counted in memory or on disk (`cleaning`). Who a listener was is not kept.
"""

from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, TypeAlias

import numpy as np
import numpy.typing as npt
import pandas as pd
import polars as pl
from pydantic import Field
from scipy.sparse import csr_array

from twinear.artists.identity import (
    MBID,
    Collisions,
    find_collisions,
    identify,
    normalise_spellings,
    read_artists,
    write_artists,
)
from twinear.artists.redirects import read_redirects
from twinear.base.errors import DataError
from twinear.base.files import replacing, require
from twinear.base.params import Params
from twinear.listens.in_memory import FINE, InMemory, Kept, Verdicts, tables, write_plays
from twinear.listens.lines import LinesSource, open_lines
from twinear.listens.on_disk import OnDisk, held
from twinear.listens.readers.dispatch import open_rows
from twinear.listens.readers.formats import REMEDY, Format, TableColumns, find_listens
from twinear.listens.readers.period import Window
from twinear.listens.readers.rows import Rows

Array: TypeAlias = npt.NDArray[Any]

# rule -> what to do when it leaves nothing; in the order in which they apply
RULES = {
    "outside_window": "mend listens.window",
    "malformed": "every line must have the fields of its format; mend listens.format",
    "without_listener": "mend listens.columns.listener",
    "bad_plays": "plays must be whole numbers of at least 1; mend listens.columns.plays",
    "without_artist": "mend listens.columns.artist",
    "without_mbid": "set listens.require_mbid to false",
    "unwanted_name": "mend listens.drop_names",
    "without_profile": "set listens.require_profile to false",
    "few_listeners": "lower listens.min_listeners",
}
BLANKS = r"[\s\x1c-\x1f]+"  # what `str.split` takes for blanks
STRICT = ("malformed", "without_listener", "bad_plays", "without_artist")  # rows that are wrong
NUMBER = {rule: number for number, rule in enumerate(RULES, 1)}  # as lines are judged by
AGAIN = "run 'dvc repro listens'"


class ListensParams(Params):
    """How listens are read and cleaned.

    Parameters
    ----------
    window
        The days that count, where listens have times.
    strict
        Stop at the first row that is wrong, instead of counting it.
    require_mbid
        Drop rows without a MusicBrainz id.
    require_profile
        Drop listeners without a profile, where profiles are known.
    drop_names
        Names that are no artist.
    min_listeners
        Drop artists with fewer listeners.
    """

    format: Literal["auto"] | Format
    columns: TableColumns
    window: Window
    strict: bool
    require_mbid: bool
    require_profile: bool
    drop_names: tuple[str, ...]
    min_listeners: int = Field(ge=1)


@dataclass(frozen=True, kw_only=True)
class Popularity:
    """How many listeners the artist of a rank has, and the share of all plays up to it."""

    rank: int
    listeners: int
    share_of_plays: float


@dataclass(frozen=True, kw_only=True)
class ListensReport:
    """What was read, kept and dropped; rows = kept + duplicates + the sum of dropped.

    Parameters
    ----------
    rows
        Of a log of single listens: listens, one by several artists as one of each.
    kept
        Pairs of a listener and an artist.
    dropped
        Rows by the rule that dropped them; of `few_listeners` after adding up duplicates.
    duplicates
        Rows added to another of the same listener and artist.
    merged
        MBIDs that were replaced by those that they were merged into.
    undecodable
        Spellings of artists that hold bytes which are not UTF-8.
    collisions
        Namesakes, and artists of several names.
    popularity
        At ranks 1, 10, 100, … by listeners, and at the last.
    """

    format: str
    files: list[str]
    rows: int
    kept: int
    dropped: dict[str, int]
    duplicates: int
    listeners: int
    artists: int
    plays: int
    merged: int
    undecodable: int
    collisions: Collisions
    popularity: list[Popularity]


@dataclass(frozen=True, kw_only=True, eq=False)
class Listens:
    """Plays of every artist by every listener.

    Parameters
    ----------
    artists
        artist (id), name, mbid ("" if none), listeners, plays; sorted by listeners, most first,
        then by artist.
    plays
        (listeners, artists), int64, at least one in every row and column.
    """

    artists: pd.DataFrame
    plays: csr_array[Any, tuple[int, int]]

    def write(self, folder: Path) -> None:
        """Write artists.csv and plays.parquet: listener, artist (row of artists.csv), plays."""
        rows = self.plays.indptr, self.plays.indices, self.plays.data
        with replacing(folder) as temporary:
            temporary.mkdir()
            write_artists(self.artists, temporary / "artists.csv")
            write_plays(temporary / "plays.parquet", tables(*rows))

    @staticmethod
    def read(folder: Path) -> "Listens":
        """Read what `write` wrote."""
        artists = read_artists(folder / "artists.csv", AGAIN)
        path = require(folder / "plays.parquet", AGAIN)
        try:
            listener, artist, plays = (
                pl.read_parquet(path, columns=[each], glob=False)[each].to_numpy()
                for each in ("listener", "artist", "plays")
            )
            if (listener[1:] < listener[:-1]).any() or artist.max() >= len(artists):
                raise ValueError("listeners are out of order, or artists are missing")
            starts = np.searchsorted(listener, np.arange(listener[-1] + 2, dtype=listener.dtype))
            counts = _matrix((starts, artist, plays), (len(starts) - 1, len(artists)))
        except (pl.exceptions.PolarsError, ValueError, TypeError) as error:
            raise DataError(path, f"is not a table of plays ({error})", remedy=AGAIN) from error
        return Listens(artists=artists, plays=counts)


def _matrix(
    rows: tuple[Array, Array, Array], shape: tuple[int, int]
) -> csr_array[Any, tuple[int, int]]:
    starts, artist, plays = rows
    starts = starts.astype(np.int32 if len(artist) < 2**31 else np.int64)  # as scipy wants them
    matrix: csr_array[Any, tuple[int, int]] = csr_array((plays, artist, starts), shape=shape)
    return matrix


def read_listens(source: Path, params: ListensParams) -> tuple[Listens, ListensReport]:
    """Read and clean the listens of a folder or a file, in memory.

    Raises
    ------
    DataError
        Missing, empty, unreadable or unrecognised files, missing columns, or nothing left; a row
        that is wrong, if `params.strict`.
    """
    files = find_listens(source, params.format)
    with open_rows(files, params.columns, params.window) as rows:
        read = open_lines(rows)
        lines = InMemory(read.lines())
        artists, report = _cleaned(lines, read, rows, params)
    shape = report.listeners, report.artists
    return Listens(artists=artists, plays=_matrix(lines.rows(), shape)), report


def clean_listens(source: Path, params: ListensParams, folder: Path, memory: int) -> ListensReport:
    """Read and clean listens and write them to a folder, whatever their size.

    What `read_listens` and `Listens.write` do, in some bytes of memory: lines that do not fit go
    to disk, where DuckDB cleans them. The folder is the same.

    Raises
    ------
    DataError
        As `read_listens`, or no room on the disk.
    """
    files = find_listens(source, params.format)
    with open_rows(files, params.columns, params.window) as rows, replacing(folder) as temporary:
        temporary.mkdir()
        read = open_lines(rows)
        with held(read.lines(), memory, temporary / "lines.parquet") as lines:
            artists, report = _cleaned(lines, read, rows, params)
            write_artists(artists, temporary / "artists.csv")
            write_plays(temporary / "plays.parquet", lines.tables())
    return report


def _cleaned(
    lines: InMemory | OnDisk, read: LinesSource, rows: Rows, params: ListensParams
) -> tuple[pd.DataFrame, ListensReport]:
    """Apply the rules one after the other, and count."""
    spellings = _redirected(read.spellings(), read_redirects(rows.files.redirects))
    verdicts = _verdicts(spellings, read.profiled(), params)
    kept = lines.judge(verdicts, len(RULES) + 1, rows.summed)
    if params.strict:
        _stop_at_first(kept, rows)
    everyone, column, collisions = _identified(spellings, kept)
    listeners = lines.add_up(column, len(everyone))
    order = np.argsort(-listeners, kind="stable")
    order = order[listeners[order] >= params.min_listeners]
    number = np.full(len(everyone), -1, np.int32)
    number[order] = np.arange(len(order), dtype=np.int32)
    totals = np.bincount(column, kept.plays, len(everyone)).astype(np.int64)
    artists = everyone.iloc[order].reset_index(drop=True)
    artists = artists.assign(listeners=listeners[order], plays=totals[order])
    n_kept, n_pairs = int(artists["listeners"].sum()), int(listeners.sum())
    dropped = dict(zip(RULES, kept.dropped[1:].tolist(), strict=True))
    dropped |= {"outside_window": rows.outside, "few_listeners": n_pairs - n_kept}
    report = ListensReport(
        format=rows.files.format,
        files=rows.files.names,
        rows=int(kept.dropped.sum()) + rows.outside,
        kept=n_kept,
        dropped=dropped,
        duplicates=int(kept.dropped[FINE]) - n_pairs,
        listeners=lines.renumber(number),
        artists=len(artists),
        plays=int(artists["plays"].sum()),
        merged=spellings["merged"].drop_nulls().n_unique(),
        undecodable=_undecodable(spellings),
        collisions=collisions,
        popularity=_popularity(artists),
    )
    if not report.kept:
        raise _nothing_left(rows.files.plays, report)
    return artists, report


def _redirected(spellings: pl.DataFrame, redirects: dict[str, str]) -> pl.DataFrame:
    """Make `mbid` the one that is meant now, and `merged` the old one where it is another."""
    old = pl.col("mbid").str.to_lowercase()
    new = old.replace_strict(redirects, default=None, return_dtype=pl.String)
    return spellings.with_columns(
        mbid=new.fill_null(pl.col("mbid")), merged=pl.when(new.is_not_null()).then(old)
    )


def _undecodable(spellings: pl.DataFrame) -> int:
    """How many spellings hold a letter that stands for bytes which are not UTF-8."""
    damaged = spellings.filter(pl.col("name").str.contains("\ufffd", literal=True))
    return damaged.select(pl.coalesce("merged", "mbid"), "name").n_unique()


def _stop_at_first(kept: Kept, rows: Rows) -> None:
    """Raise `DataError` at the first row that is wrong in any way."""
    found = {rule: int(kept.first[NUMBER[rule]]) for rule in STRICT}
    found = {rule: row for rule, row in found.items() if row >= 0}
    if found:
        rule = min(found, key=lambda rule: found[rule])
        place = rows.locate(found[rule])
        raise DataError(place, f"row {rule.replace('_', ' ')}", remedy=RULES[rule])


def _verdicts(spellings: pl.DataFrame, profiled: Array | None, params: ListensParams) -> Verdicts:
    """What the rules say of every spelling and listener."""
    unwanted = {name.strip().casefold() for name in params.drop_names}
    names = spellings["name"].to_list()
    pattern = f"^{MBID.pattern}$"
    known = spellings["mbid"].str.to_lowercase().str.contains(pattern).to_numpy()
    fault = np.zeros(len(names), np.uint8)
    is_unwanted = np.fromiter((name.casefold() in unwanted for name in names), np.bool_, len(names))
    fault[is_unwanted] = NUMBER["unwanted_name"]
    if params.require_mbid:
        fault[~known] = NUMBER["without_mbid"]
    nameless = [row for row in np.flatnonzero(~known) if not names[row].strip()]
    fault[nameless] = NUMBER["without_artist"]
    return Verdicts(
        fault=fault,
        stranger=~profiled
        if params.require_profile and profiled is not None
        else np.empty(0, np.bool_),
        malformed=NUMBER["malformed"],
        nobody=NUMBER["without_listener"],
        bad=NUMBER["bad_plays"],
        strange=NUMBER["without_profile"],
    )


def _identified(spellings: pl.DataFrame, kept: Kept) -> tuple[pd.DataFrame, Array, Collisions]:
    """Who the spellings of the kept lines are: artists sorted by id, and each spelling's row.

    An artist's name is the spelling that stands in most rows, of those that are not blank.
    """
    spelt = (
        spellings.with_columns(rows=pl.Series(kept.rows), total=pl.Series(kept.plays))
        .with_row_index("number")
        .filter(pl.col("rows") > 0)
        .group_by("mbid", "name")  # blanks around them made them two
        .agg("number", pl.col("rows").sum(), pl.col("total").sum())
        .sort(
            pl.col("name") == "",
            *("rows", "total", "mbid", "name"),
            descending=[False, True, True, False, False],
        )
    )
    pairs = normalise_spellings(spelt.select("mbid", "name").iter_rows())
    ids = identify(pairs)
    artists = _named(ids, spelt["name"])
    column = np.zeros(len(spellings), np.int32)
    rows = pd.Index(artists["artist"]).get_indexer(pd.Index(ids))
    alike = spelt.select("number", row=pl.Series(rows)).explode("number")
    column[alike["number"].to_numpy()] = alike["row"].to_numpy()
    return artists, column, find_collisions(pairs, spelt["rows"].to_list())


def _named(ids: list[str], names: pl.Series) -> pd.DataFrame:
    """Each artist once, sorted, under the first name it has: artist, name, mbid."""
    artist = pl.col("artist")
    name = pl.col("name").str.replace_all(BLANKS, " ").str.strip_chars(" ")
    table = (
        pl.DataFrame({"artist": pl.Series(ids, dtype=pl.String), "name": names})
        .unique("artist", keep="first", maintain_order=True)
        .sort("artist")
        .select(
            "artist",
            name=pl.when(name == "").then(artist).otherwise(name),
            mbid=pl.when(artist.str.contains(f"^{MBID.pattern}$"))
            .then(artist)
            .otherwise(pl.lit("")),
        )
    )
    return pd.DataFrame({column: table[column].to_list() for column in table.columns})


def _popularity(artists: pd.DataFrame) -> list[Popularity]:
    """The curve of popularity, at powers of ten."""
    n = len(artists)
    ranks = sorted({10**power for power in range(10) if 10**power <= n} | ({n} if n else set()))
    plays = artists["plays"].cumsum()
    return [
        Popularity(
            rank=rank,
            listeners=int(artists["listeners"].iloc[rank - 1]),
            share_of_plays=round(float(plays.iloc[rank - 1] / plays.iloc[-1]), 4),
        )
        for rank in ranks
    ]


def _nothing_left(path: Path, report: ListensReport) -> DataError:
    if not report.rows:
        return DataError(path, "holds no listens", remedy=REMEDY)
    rule = max(report.dropped, key=lambda rule: report.dropped[rule])
    counts = ", ".join(f"{n} {rule}" for rule, n in report.dropped.items() if n)
    found = f"no listens left of {report.rows} rows ({counts})"
    return DataError(path, found, remedy=RULES[rule])

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

from twinear.artists import (
    MBID,
    identify,
    read_artists,
    write_artists,
)
from twinear.cleaning import InMemory, Kept, Verdicts, tables, write_plays
from twinear.errors import DataError
from twinear.files import replacing, require
from twinear.lines import LinesSource, open_lines
from twinear.params import Params
from twinear.readers import REMEDY, Format, ListensFiles, TableColumns, find_listens, scan_listens
from twinear.spilling import OnDisk, held

Array: TypeAlias = npt.NDArray[Any]

# rule -> what to do when it leaves nothing; in the order in which they apply
RULES = {
    "malformed": "every line must have as many tabs as its format says; mend listens.format",
    "without_listener": "mend listens.columns.listener",
    "bad_plays": "plays must be whole numbers of at least 1; mend listens.columns.plays",
    "without_artist": "mend listens.columns.artist",
    "without_mbid": "set listens.require_mbid to false",
    "unwanted_name": "mend listens.drop_names",
    "without_profile": "set listens.require_profile to false",
    "few_listeners": "lower listens.min_listeners",
}
AGAIN = "run 'dvc repro listens'"


class ListensParams(Params):
    """How listens are read and cleaned.

    Parameters
    ----------
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
    require_mbid: bool
    require_profile: bool
    drop_names: tuple[str, ...]
    min_listeners: int = Field(ge=1)


@dataclass(frozen=True, kw_only=True)
class ListensReport:
    """What was read, kept and dropped; rows = kept + duplicates + the sum of dropped.

    Parameters
    ----------
    kept
        Pairs of a listener and an artist.
    dropped
        Rows by the rule that dropped them; of `few_listeners` after adding up duplicates.
    duplicates
        Rows added to another of the same listener and artist.
    popularity
        Listeners of the artists at ranks 1, 10, 100, …, and the share of all plays that the most
        played 1 and 10 % of the artists have.
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
    popularity: dict[str, float]


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
        Missing, empty, unreadable or unrecognised files, missing columns, or nothing left.
    """
    files = find_listens(source, params.format)
    read = open_lines(scan_listens(files, params.columns))
    lines = InMemory(list(read.lines()))
    artists, report = _cleaned(lines, read, files, params)
    shape = report.listeners, len(artists)
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
    read = open_lines(scan_listens(files, params.columns))
    with replacing(folder) as temporary:
        temporary.mkdir()
        with held(read.lines(), memory, temporary / "lines.parquet") as lines:
            artists, report = _cleaned(lines, read, files, params)
            write_artists(artists, temporary / "artists.csv")
            write_plays(temporary / "plays.parquet", lines.tables())
    return report


def _cleaned(
    lines: InMemory | OnDisk, read: LinesSource, files: ListensFiles, params: ListensParams
) -> tuple[pd.DataFrame, ListensReport]:
    """Apply the rules one after the other, and count."""
    spellings = read.spellings()
    kept = lines.judge(_verdicts(spellings, read.profiled(), params), len(RULES) + 1)
    everyone, column = _identified(spellings, kept)
    listeners = lines.add_up(column, len(everyone))
    order = np.argsort(-listeners, kind="stable")
    order = order[listeners[order] >= params.min_listeners]
    number = np.full(len(everyone), -1, np.int32)
    number[order] = np.arange(len(order), dtype=np.int32)
    totals = np.bincount(column, kept.plays, len(everyone)).astype(np.int64)
    artists = everyone.iloc[order].reset_index(drop=True)
    artists = artists.assign(listeners=listeners[order], plays=totals[order])
    dropped = dict(zip(RULES, kept.dropped[1:].tolist(), strict=True))
    dropped["few_listeners"] = int(listeners.sum() - artists["listeners"].sum())
    n_listeners = lines.renumber(number)
    report = ListensReport(
        format=files.format,
        files=[path.name for path in files.paths],
        rows=int(kept.dropped.sum()),
        kept=int(artists["listeners"].sum()),
        dropped=dropped,
        duplicates=int(kept.rows.sum() - listeners.sum()),
        listeners=n_listeners,
        artists=len(artists),
        plays=int(artists["plays"].sum()),
        popularity=_popularity(artists),
    )
    if not report.kept:
        raise _nothing_left(files.plays, report)
    return artists, report


def _verdicts(spellings: pl.DataFrame, profiled: Array | None, params: ListensParams) -> Verdicts:
    """What the rules say of every spelling and listener."""
    rules = {rule: number for number, rule in enumerate(RULES, 1)}
    unwanted = {name.strip().casefold() for name in params.drop_names}
    names = spellings["name"].to_list()
    pattern = f"^{MBID.pattern}$"
    known = spellings["mbid"].str.to_lowercase().str.contains(pattern).to_numpy()
    fault = np.zeros(len(names), np.uint8)
    is_unwanted = np.fromiter((name.casefold() in unwanted for name in names), np.bool_, len(names))
    fault[is_unwanted] = rules["unwanted_name"]
    if params.require_mbid:
        fault[~known] = rules["without_mbid"]
    nameless = [row for row in np.flatnonzero(~known) if not names[row].strip()]
    fault[nameless] = rules["without_artist"]
    return Verdicts(
        fault=fault,
        stranger=~profiled
        if params.require_profile and profiled is not None
        else np.empty(0, np.bool_),
        malformed=rules["malformed"],
        nobody=rules["without_listener"],
        bad=rules["bad_plays"],
        strange=rules["without_profile"],
    )


def _identified(spellings: pl.DataFrame, kept: Kept) -> tuple[pd.DataFrame, Array]:
    """Who the spellings of the kept lines are: artists sorted by id, and each spelling's row.

    An artist's name is the spelling that stands in most rows.
    """
    spelt = (
        spellings.with_columns(rows=pl.Series(kept.rows), total=pl.Series(kept.plays))
        .with_row_index("number")
        .filter(pl.col("rows") > 0)
        .group_by("mbid", "name")  # blanks around them made them two
        .agg("number", pl.col("rows").sum(), pl.col("total").sum())
        .sort("rows", "total", "mbid", "name", descending=[True, True, False, False])
    )
    ids = identify(spelt.select("mbid", "name").iter_rows())
    artists = _named(ids, spelt["name"].to_list())
    column = np.zeros(len(spellings), np.int32)
    rows = pd.Index(artists["artist"]).get_indexer(pd.Index(ids))
    alike = spelt.select("number", row=pl.Series(rows)).explode("number")
    column[alike["number"].to_numpy()] = alike["row"].to_numpy()
    return artists, column


def _named(ids: list[str], names: list[str]) -> pd.DataFrame:
    """Each artist once, sorted, under the first name it has: artist, name, mbid."""
    name_of = dict(zip(reversed(ids), reversed(names), strict=True))
    artists = sorted(name_of)
    known = pl.Series(artists, dtype=pl.String).str.contains(f"^{MBID.pattern}$")
    return pd.DataFrame(
        {
            "artist": artists,
            "name": [" ".join(name_of[artist].split()) or artist for artist in artists],
            "mbid": [artist if one else "" for artist, one in zip(artists, known, strict=True)],
        }
    )


def _popularity(artists: pd.DataFrame) -> dict[str, float]:
    """How listeners and plays are spread over the artists, most listened first."""
    n = len(artists)
    ranks = [10**power for power in range(9) if 10**power <= n]
    plays = np.sort(artists["plays"].to_numpy())[::-1]
    shares = {share: int(plays[: -(-n * share // 100)].sum()) for share in (1, 10)}
    total = max(1, int(plays.sum()))
    return {
        **{f"listeners_of_rank_{r}": int(artists["listeners"].iloc[r - 1]) for r in ranks},
        **{f"plays_of_top_{share}_percent": round(n / total, 4) for share, n in shares.items()},
    }


def _nothing_left(path: Path, report: ListensReport) -> DataError:
    if not report.rows:
        return DataError(path, "holds no listens", remedy=REMEDY)
    rule = max(report.dropped, key=lambda rule: report.dropped[rule])
    counts = ", ".join(f"{n} {rule}" for rule, n in report.dropped.items() if n)
    found = f"no listens left of {report.rows} rows ({counts})"
    return DataError(path, found, remedy=RULES[rule])

"""Who played whom: files of listens, cleaned and counted.

Every row is kept or dropped by the first of the `RULES` that applies, and counted there; what
remains of one listener and one artist is added up. Listeners and artists stay apart by 64-bit
hashes of their names while rows are read, which keeps 17 million rows under 2 GB (the chance that
two of a million share a hash is 3e-8). Who a listener was is not kept.
"""

from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np
import pandas as pd
import polars as pl
from pydantic import Field
from scipy.sparse import coo_array, csr_array

from twinear.artists import (
    Collisions,
    artist_id,
    find_collisions,
    identify,
    is_mbid,
    normalise_spellings,
    read_artists,
    write_artists,
)
from twinear.errors import DataError
from twinear.files import replacing, require
from twinear.params import Params
from twinear.readers.formats import REMEDY, Format, TableColumns, find_listens
from twinear.readers.opening import open_rows
from twinear.readers.rows import Rows
from twinear.readers.window import Window
from twinear.redirects import read_redirects

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
STRICT = ("malformed", "without_listener", "bad_plays", "without_artist")  # rows that are wrong
MAX_PLAYS = 2**31 - 1
LISTENER = pl.when(pl.col("listener") != "").then(pl.col("listener").hash())  # null if none
SPELLING = pl.struct("mbid", "name").hash()


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
        entries = self.plays.tocoo()
        listener, artist = (axis.astype(np.int32) for axis in entries.coords)
        table = pl.DataFrame({"listener": listener, "artist": artist, "plays": entries.data})
        with replacing(folder) as temporary:
            temporary.mkdir()
            write_artists(self.artists, temporary / "artists.csv")
            with (temporary / "plays.parquet").open("wb") as file:  # its errors are OSError
                table.write_parquet(file)

    @staticmethod
    def read(folder: Path) -> "Listens":
        """Read what `write` wrote."""
        remedy = "run 'dvc repro listens'"
        artists = read_artists(folder / "artists.csv", remedy)
        path = require(folder / "plays.parquet", remedy)
        try:
            table = pl.read_parquet(path, columns=["listener", "artist", "plays"], glob=False)
            coords = table["listener"].to_numpy(), table["artist"].to_numpy()
            shape = (int(coords[0].max()) + 1, len(artists))
            plays = coo_array((table["plays"].to_numpy(), coords), shape=shape).tocsr()
        except (pl.exceptions.PolarsError, ValueError, TypeError) as error:
            raise DataError(path, f"is not a table of plays ({error})", remedy=remedy) from error
        return Listens(artists=artists, plays=plays)


def read_listens(source: Path, params: ListensParams) -> tuple[Listens, ListensReport]:
    """Read and clean the listens of a folder or a file.

    Raises
    ------
    DataError
        Missing, empty, unreadable or unrecognised files, missing columns, or nothing left; a row
        that is wrong, if `params.strict`.
    """
    files = find_listens(source, params.format)
    with open_rows(files, params.columns, params.window) as rows:
        return _read(rows, params)


def _read(rows: Rows, params: ListensParams) -> tuple[Listens, ListensReport]:
    files = rows.files
    redirects = read_redirects(files.redirects)
    spellings = _judged_spellings(rows, params, redirects)
    codes = _codes(rows, spellings)
    kept, dropped = _kept(codes, rows, params)
    everything, collisions = _gathered(kept, spellings)
    listens = _listened_enough(everything, params.min_listeners)
    dropped["few_listeners"] = everything.plays.nnz - listens.plays.nnz
    report = ListensReport(
        format=files.format,
        files=files.names,
        rows=_count(codes, rows) + rows.outside,
        kept=listens.plays.nnz,
        dropped=dropped,
        duplicates=_count(kept, rows) - everything.plays.nnz,
        listeners=listens.plays.shape[0],
        artists=listens.plays.shape[1],
        plays=int(listens.plays.sum()),
        merged=int(spellings["merged"].n_unique() - spellings["merged"].has_nulls()),
        undecodable=int(spellings["name"].str.contains("\ufffd", literal=True).sum()),
        collisions=collisions,
        popularity=_popularity(listens.artists),
    )
    if not report.kept:
        raise _nothing_left(files.plays, report)
    return listens, report


def _count(codes: pl.DataFrame, rows: Rows) -> int:
    """How many rows of the source these are."""
    return int(codes["plays"].sum()) if rows.summed else codes.height


def _judged_spellings(rows: Rows, params: ListensParams, redirects: dict[str, str]) -> pl.DataFrame:
    """Every spelling of an artist once: code (its row), spelling (hash), mbid, name, fault, merged.

    `mbid` is the one that is meant now, and `merged` the old one where it is another.
    """
    spelt = rows.frame.filter(~pl.col("malformed")).select("mbid", "name").unique()
    spellings = rows.collect(spelt.with_columns(spelling=SPELLING)).sort("mbid", "name")
    old = pl.col("mbid").str.to_lowercase()
    new = old.replace_strict(redirects, default=None, return_dtype=pl.String)
    spellings = spellings.with_columns(
        mbid=new.fill_null(pl.col("mbid")), merged=pl.when(new.is_not_null()).then(old)
    )
    unwanted = {name.strip().casefold() for name in params.drop_names}

    def fault(mbid: str, name: str) -> str | None:
        artist = artist_id(mbid, name)
        if not artist:
            return "without_artist"
        if params.require_mbid and not is_mbid(artist):
            return "without_mbid"
        return "unwanted_name" if name.casefold() in unwanted else None

    faults = [fault(mbid, name) for mbid, name in spellings.select("mbid", "name").iter_rows()]
    return spellings.with_row_index("code").with_columns(
        fault=pl.Series(faults, dtype=pl.Enum(list(RULES)))
    )


def _codes(rows: Rows, spellings: pl.DataFrame) -> pl.DataFrame:
    """Every row in 18 bytes: malformed, listener (hash or null), plays (or null), code, fault."""
    plays = pl.col("plays")
    whole = plays.is_between(1, MAX_PLAYS) & (plays == plays.floor())
    codes = rows.frame.select(
        "malformed", LISTENER, spelling=SPELLING, plays=pl.when(whole).then(plays).cast(pl.Int32)
    )
    judged = spellings.select("spelling", "code", "fault")
    joined = rows.collect(codes).join(judged, on="spelling", how="left", maintain_order="left")
    return joined.drop("spelling")


def _kept(
    codes: pl.DataFrame, rows: Rows, params: ListensParams
) -> tuple[pl.DataFrame, dict[str, int]]:
    """Keep the rows that no rule drops, and count what each rule dropped."""
    keep = {
        "malformed": ~pl.col("malformed"),
        "without_listener": pl.col("listener").is_not_null(),
        "bad_plays": pl.col("plays").is_not_null(),
    }
    for rule in ("without_artist", "without_mbid", "unwanted_name"):
        keep[rule] = pl.col("fault").ne_missing(rule)
    if params.require_profile and rows.profiles is not None:
        profiles = rows.collect(rows.profiles.select(LISTENER))["listener"]
        keep["without_profile"] = pl.col("listener").is_in(profiles.implode())
    if params.strict:
        _stop_at_first(codes, rows, {rule: ~keep[rule] for rule in STRICT})
    dropped = dict.fromkeys(RULES, 0) | {"outside_window": rows.outside}
    for rule, kept in keep.items():
        n_before, codes = _count(codes, rows), codes.filter(kept)
        dropped[rule] = n_before - _count(codes, rows)
    return codes, dropped


def _stop_at_first(codes: pl.DataFrame, rows: Rows, wrong: dict[str, pl.Expr]) -> None:
    """Raise `DataError` at the first row that is wrong in any way."""
    first = codes.select(pl.any_horizontal(*wrong.values()).arg_max()).item()
    row = codes.slice(first or 0, 1)
    for rule, is_wrong in wrong.items():
        if row.filter(is_wrong).height:
            raise DataError(rows.locate(first), f"row {rule.replace('_', ' ')}", remedy=RULES[rule])


def _gathered(kept: pl.DataFrame, spellings: pl.DataFrame) -> tuple[Listens, Collisions]:
    """Add up the rows of each listener and artist; artists sorted by id, not counted yet.

    An artist's name is the spelling that stands in most rows, of those that are not blank.
    """
    spelt = (
        kept.group_by("code")
        .agg(rows=pl.len(), total=pl.col("plays").cast(pl.Int64).sum())
        .join(spellings, on="code")
        .sort(pl.col("name") == "", "rows", "total", "code", descending=[False, True, True, False])
    )
    pairs = normalise_spellings(spelt.select("mbid", "name").iter_rows())
    ids = identify(pairs)
    artists = _named(ids, spelt["name"].to_list())
    column = np.zeros(len(spellings), np.int32)
    column[spelt["code"].to_numpy()] = pd.Index(artists["artist"]).get_indexer(pd.Index(ids))
    listener, listeners = pd.factorize(kept["listener"].to_numpy())
    coords = listener.astype(np.int32), column[kept["code"].to_numpy()]
    plays = coo_array(
        (kept["plays"].to_numpy().astype(np.int64), coords), shape=(len(listeners), len(artists))
    )
    listens = Listens(artists=artists, plays=plays.tocsr())
    return listens, find_collisions(pairs, spelt["rows"].to_list())


def _named(ids: list[str], names: list[str]) -> pd.DataFrame:
    """Each artist once, sorted, under the first name it has: artist, name, mbid."""
    name_of = dict(zip(reversed(ids), reversed(names), strict=True))
    artists = sorted(name_of)
    return pd.DataFrame(
        {
            "artist": artists,
            "name": [" ".join(name_of[artist].split()) or artist for artist in artists],
            "mbid": [artist if is_mbid(artist) else "" for artist in artists],
        }
    )


def _listened_enough(everything: Listens, min_listeners: int) -> Listens:
    """Count the artists, keep those with enough listeners, most first, and whoever hears them."""
    n_listeners = np.bincount(everything.plays.indices, minlength=len(everything.artists))
    order = np.argsort(-n_listeners, kind="stable")
    order = order[n_listeners[order] >= min_listeners]
    plays = everything.plays[:, order]
    plays = plays[np.diff(plays.indptr) > 0]
    plays.sort_indices()
    artists = everything.artists.iloc[order].reset_index(drop=True)
    artists = artists.assign(listeners=n_listeners[order], plays=plays.sum(axis=0))
    return Listens(artists=artists, plays=plays)


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

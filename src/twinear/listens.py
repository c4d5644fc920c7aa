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

from twinear.artists import artist_id, identify, is_mbid, read_artists, write_artists
from twinear.errors import DataError
from twinear.files import replacing, require
from twinear.params import Params
from twinear.readers import REMEDY, Format, Rows, TableColumns, find_listens, scan_listens

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
MAX_PLAYS = 2**31 - 1
LISTENER = pl.when(pl.col("listener") != "").then(pl.col("listener").hash())  # null if none
SPELLING = pl.struct("mbid", "name").hash()


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
            starts = starts.astype(np.int32 if len(artist) < 2**31 else np.int64)
            shape = len(starts) - 1, len(artists)
            counts: csr_array[Any, tuple[int, int]] = csr_array((plays, artist, starts), shape=shape)
        except (pl.exceptions.PolarsError, ValueError, TypeError) as error:
            raise DataError(path, f"is not a table of plays ({error})", remedy=AGAIN) from error
        return Listens(artists=artists, plays=counts)


def read_listens(source: Path, params: ListensParams) -> tuple[Listens, ListensReport]:
    """Read and clean the listens of a folder or a file.

    Raises
    ------
    DataError
        Missing, empty, unreadable or unrecognised files, missing columns, or nothing left.
    """
    files = find_listens(source, params.format)
    rows = scan_listens(files, params.columns)
    spellings = _judged_spellings(rows, params)
    codes = _codes(rows, spellings)
    kept, dropped = _kept(codes, rows, params)
    everything = _gathered(kept, spellings)
    listens = _listened_enough(everything, params.min_listeners)
    dropped["few_listeners"] = everything.plays.nnz - listens.plays.nnz
    report = ListensReport(
        format=files.format,
        files=[path.name for path in files.paths],
        rows=codes.height,
        kept=listens.plays.nnz,
        dropped=dropped,
        duplicates=kept.height - everything.plays.nnz,
        listeners=listens.plays.shape[0],
        artists=listens.plays.shape[1],
        plays=int(listens.plays.sum()),
    )
    if not report.kept:
        raise _nothing_left(files.plays, report)
    return listens, report


def _judged_spellings(rows: Rows, params: ListensParams) -> pl.DataFrame:
    """Every spelling of an artist once: code (its row), spelling (hash), mbid, name, fault."""
    spelt = rows.frame.filter(~pl.col("malformed")).select("mbid", "name").unique()
    spellings = rows.collect(spelt.with_columns(spelling=SPELLING)).sort("mbid", "name")
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
    dropped = dict.fromkeys(RULES, 0)
    for rule, kept in keep.items():
        n_before, codes = codes.height, codes.filter(kept)
        dropped[rule] = n_before - codes.height
    return codes, dropped


def _gathered(kept: pl.DataFrame, spellings: pl.DataFrame) -> Listens:
    """Add up the rows of each listener and artist; artists sorted by id, not counted yet.

    An artist's name is the spelling that stands in most rows.
    """
    spelt = (
        kept.group_by("code")
        .agg(rows=pl.len(), total=pl.col("plays").cast(pl.Int64).sum())
        .join(spellings, on="code")
        .sort("rows", "total", "code", descending=[True, True, False])
    )
    ids = identify(spelt.select("mbid", "name").iter_rows())
    artists = _named(ids, spelt["name"].to_list())
    column = np.zeros(len(spellings), np.int32)
    column[spelt["code"].to_numpy()] = pd.Index(artists["artist"]).get_indexer(pd.Index(ids))
    listener, listeners = pd.factorize(kept["listener"].to_numpy())
    coords = listener.astype(np.int32), column[kept["code"].to_numpy()]
    plays = coo_array(
        (kept["plays"].to_numpy().astype(np.int64), coords), shape=(len(listeners), len(artists))
    )
    return Listens(artists=artists, plays=plays.tocsr())


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


def _nothing_left(path: Path, report: ListensReport) -> DataError:
    if not report.rows:
        return DataError(path, "holds no listens", remedy=REMEDY)
    rule = max(report.dropped, key=lambda rule: report.dropped[rule])
    counts = ", ".join(f"{n} {rule}" for rule, n in report.dropped.items() if n)
    found = f"no listens left of {report.rows} rows ({counts})"
    return DataError(path, found, remedy=RULES[rule])

"""Listens: the plays of every artist by every listener, from files of listens.

Every row is kept, or dropped by the first of the `rules` that applies, and counted either way; the
kept rows of one listener and one artist are added up. Rows become numbers as they are read
(`lines`), and are cleaned in memory or on disk (`in_memory`, `on_disk`). The identity of a
listener is not stored.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

import numpy as np
import pandas as pd
import polars as pl
from pydantic import Field, field_validator

from twinear.artists.identity import (
    MBID,
    Collisions,
    find_collisions,
    identify,
    normalise_spellings,
    read_artists,
    strip_spellings,
    write_artists,
)
from twinear.artists.non_artists import NonArtists
from twinear.artists.redirects import read_redirects
from twinear.base.checksums import write_checksums
from twinear.base.errors import DataError, nearest
from twinear.base.files import replacing
from twinear.base.params import Params
from twinear.listens.in_memory import SESSIONS, LinesInMemory, plays_tables, write_plays
from twinear.listens.lines import LinesSource, open_lines
from twinear.listens.on_disk import hold_lines
from twinear.listens.plays import AGAIN, BASKETS, read_plays
from twinear.listens.readers.dispatch import open_rows
from twinear.listens.readers.events import ListenRules
from twinear.listens.readers.formats import REMEDY, Recognised, TableColumns
from twinear.listens.readers.period import Period
from twinear.listens.readers.registry import NAMES
from twinear.listens.readers.rows import Rows
from twinear.listens.rules import (
    ERRORS,
    KEPT,
    NUMBER,
    RULES,
    Array,
    ArtistNumbers,
    HeldLines,
    LineRules,
    RuleCounts,
    SummedPlays,
    most_listened,
)
from twinear.listens.sessions import Matrix, Sessions

Plays = TypeVar("Plays", bound=SummedPlays)

IS_MBID = f"^{MBID.pattern}$"


class ListensParams(Params):
    """How listens are read and cleaned.

    Parameters
    ----------
    window
        The days that count, where listens have times.
    min_played_seconds
        Listens that are known to be shorter do not count.
    strict
        Stop at the first row with an error, instead of counting it.
    require_mbid
        Drop rows without a MusicBrainz id.
    require_profile
        Drop listeners without a profile, where the listens come with profiles.
    drop_names
        Names that do not denote an artist, see `artists.non_artists`.
    min_listeners
        Drop artists with fewer listeners.
    """

    format: str
    columns: TableColumns
    window: Period
    min_played_seconds: float = Field(ge=0)
    strict: bool
    require_mbid: bool
    require_profile: bool
    drop_names: tuple[str, ...]
    min_listeners: int = Field(ge=1)

    @field_validator("format")
    @classmethod
    def _is_known(cls, name: str) -> str:
        if name not in ("auto", *NAMES):
            near = nearest(name, NAMES)
            meant = f" (did you mean '{near[0]}'?)" if near else ""
            raise ValueError(f"auto or one of {', '.join(NAMES)}{meant}")
        return name


@dataclass(frozen=True, kw_only=True)
class Popularity:
    """The listeners of the artist at a rank, and the share of all plays up to that rank."""

    rank: int
    listeners: int
    share_of_plays: float


@dataclass(frozen=True, kw_only=True)
class ListensReport:
    """What was read, kept and dropped; rows = kept + duplicates + the sum of dropped.

    Parameters
    ----------
    sources
        What each file of listens was taken for, and what was assumed of it.
    left_out
        Other files -> why they were not read.
    rows
        In a log of single listens: listens, where one by several artists counts for each.
    first_day, last_day
        Of all rows with a time, in UTC; None where there are none.
    kept
        Pairs of a listener and an artist.
    dropped
        Rows by the rule that dropped them; for `few_listeners` after adding up duplicates.
    duplicates
        Rows added to another row of the same listener and artist.
    sessions
        With an artist left; None where sessions were not asked for.
    merged
        MBIDs that were replaced because MusicBrainz merged them into others.
    undecodable
        Spellings of artists with bytes that are not UTF-8.
    collisions
        Names shared by artists, and artists with several names.
    popularity
        At ranks 1, 10, 100, … by listeners, and at the last.
    """

    format: str
    files: list[str]
    sources: list[Recognised]
    left_out: dict[str, str]
    rows: int
    first_day: str | None
    last_day: str | None
    kept: int
    dropped: dict[str, int]
    duplicates: int
    listeners: int
    sessions: int | None
    artists: int
    plays: int
    merged: int
    undecodable: int
    collisions: Collisions
    popularity: list[Popularity]


class EmptyListensError(DataError):
    """Listens of which the rules leave nothing; `report` says which rules."""

    report: ListensReport


@dataclass(frozen=True, kw_only=True, eq=False)
class Listens:
    """Plays of every artist by every listener.

    Parameters
    ----------
    artists
        artist (id), name, mbid ("" where unknown), listeners, plays; sorted by listeners, most
        first, then by artist.
    plays
        (listeners, artists), int64, at least one in every row and column.
    sessions
        None where they were not asked for.
    """

    artists: pd.DataFrame
    plays: Matrix
    sessions: Sessions | None = None

    def write(self, folder: Path) -> None:
        """Write artists.csv and plays.parquet: listener, artist (row of artists.csv), plays.

        If there are sessions, they go to sessions.parquet: listener, session, artist, plays.
        """
        with replacing(folder) as temporary:
            temporary.mkdir()
            write_artists(self.artists, temporary / "artists.csv")
            write_plays(temporary / BASKETS["listener"], plays_tables(self.plays))
            if self.sessions is not None:
                tables = plays_tables(self.sessions.plays, self.sessions.listener)
                write_plays(temporary / BASKETS["session"], tables, SESSIONS)
            write_checksums(temporary)

    @staticmethod
    def read(folder: Path) -> "Listens":
        """Read a folder written by `write`."""
        artists = read_artists(folder / "artists.csv", AGAIN)
        plays, _ = read_plays(folder, "listener", len(artists))
        if not (folder / BASKETS["session"]).exists():
            return Listens(artists=artists, plays=plays)
        by_session, listener = read_plays(folder, "session", len(artists))
        sessions = Sessions(plays=by_session, listener=listener)
        return Listens(artists=artists, plays=plays, sessions=sessions)


def read_listens(
    sources: Path | Sequence[Path], params: ListensParams, session_gap: int | None = None
) -> tuple[Listens, ListensReport]:
    """Read and clean the listens of folders, files or archives, in memory.

    Parameters
    ----------
    session_gap
        Seconds; a longer pause begins a session. None: sessions are not needed.

    Raises
    ------
    DataError
        Missing, empty, unreadable or unrecognised files, missing columns, or no row left; with
        `params.strict` a row with an error.
    ParamsError
        A period or sessions, but listens without times.
    """
    rules = _listen_rules(params, session_gap)
    with open_rows(sources, params.format, params.columns, rules) as rows:
        read = open_lines(rows)
        lines = LinesInMemory.hold(read.lines())
        artists, plays, report = _clean(lines, read, rows, params, session_gap)
    return Listens(artists=artists, plays=plays.matrix, sessions=plays.sessions), report


def clean_listens(
    sources: Path | Sequence[Path],
    params: ListensParams,
    folder: Path,
    memory: int,
    session_gap: int | None = None,
) -> ListensReport:
    """Read and clean listens of any size and write them to a folder, within `memory` bytes.

    The folder is the same as from `read_listens` and `Listens.write`. Lines that do not fit into
    memory go to disk, where DuckDB cleans them.

    Raises
    ------
    DataError
        As `read_listens`, or no room on the disk.
    ParamsError
        As `read_listens`.
    """
    rules = _listen_rules(params, session_gap)
    with (
        open_rows(sources, params.format, params.columns, rules) as rows,
        replacing(folder) as temporary,
    ):
        temporary.mkdir()
        read = open_lines(rows)
        with hold_lines(read.lines(), memory, temporary / "lines.parquet") as lines:
            artists, plays, report = _clean(lines, read, rows, params, session_gap)
            write_artists(artists, temporary / "artists.csv")
            write_plays(temporary / BASKETS["listener"], plays.tables())
            if session_gap is not None:
                write_plays(temporary / BASKETS["session"], plays.session_tables(), SESSIONS)
        write_checksums(temporary)
    return report


def _listen_rules(params: ListensParams, session_gap: int | None) -> ListenRules:
    return ListenRules(
        period=params.window,
        min_played_seconds=params.min_played_seconds,
        keep_times=session_gap is not None,
    )


def _clean(
    lines: HeldLines[Plays],
    read: LinesSource,
    rows: Rows,
    params: ListensParams,
    session_gap: int | None,
) -> tuple[pd.DataFrame, Plays, ListensReport]:
    """Apply the rules, identify the artists, add up their plays, and count everything."""
    mbid = pl.col("mbid").str.to_lowercase()
    redirects = read_redirects(rows.files.redirects)
    current = mbid.replace_strict(redirects, default=None, return_dtype=pl.String)
    spellings = read.spellings().with_columns(  # `merged`: the old MBID where it was replaced
        mbid=current.fill_null(pl.col("mbid")), merged=pl.when(current.is_not_null()).then(mbid)
    )
    with_profile = read.with_profile() if params.require_profile else None
    rules = LineRules(
        spelling=_rules_of_spellings(spellings, params),
        without_profile=np.empty(0, np.bool_) if with_profile is None else ~with_profile,
        summed=rows.summed,
    )
    kept, counts = lines.apply(rules)
    if params.strict:
        first = {rule: int(counts.first_line[NUMBER[rule]]) for rule in ERRORS}
        first = {rule: line for rule, line in first.items() if line >= 0}
        if first:
            rule = min(first, key=lambda rule: first[rule])
            place = rows.locate(first[rule])
            raise DataError(place, f"row {rule.replace('_', ' ')}", remedy=RULES[rule])
    identities, artist_of_spelling, collisions = _identify(spellings, counts)
    n_artists = len(identities)
    numbers = ArtistNumbers(
        of_spelling=artist_of_spelling, n=n_artists, min_listeners=params.min_listeners
    )
    plays = kept.sum_plays(numbers, session_gap)
    order = most_listened(plays.listeners, params.min_listeners)
    totals = np.bincount(artist_of_spelling, counts.spelling_plays, n_artists).astype(np.int64)
    artists = identities.iloc[order].reset_index(drop=True)
    artists = artists.assign(listeners=plays.listeners[order], plays=totals[order])
    # The replacement character stands for invalid UTF-8.
    damaged = spellings.filter(pl.col("name").str.contains("\ufffd", literal=True))
    n_kept, n_pairs = int(artists["listeners"].sum()), int(plays.listeners.sum())
    dropped = dict(zip(RULES, counts.rows[1:].tolist(), strict=True))
    dropped |= {
        "outside_window": rows.n_outside,
        "skipped": rows.n_skipped,
        "few_listeners": n_pairs - n_kept,
    }
    report = ListensReport(
        format=rows.files.format,
        files=rows.files.names,
        sources=[file.recognised for file in rows.files.files],
        left_out=rows.files.left_out,
        rows=int(counts.rows.sum()) + rows.n_outside + rows.n_skipped,
        first_day=rows.days[0] or None,
        last_day=rows.days[1] or None,
        kept=n_kept,
        dropped=dropped,
        duplicates=int(counts.rows[KEPT]) - n_pairs,
        listeners=int(plays.n_listeners),
        sessions=plays.n_sessions,
        artists=len(artists),
        plays=int(artists["plays"].sum()),
        merged=spellings["merged"].drop_nulls().n_unique(),
        undecodable=damaged.select(pl.coalesce("merged", "mbid"), "name").n_unique(),
        collisions=collisions,
        popularity=_popularity(artists),
    )
    if not report.rows:
        raise DataError(rows.files.place, "holds no listens", remedy=REMEDY)
    if not report.kept:
        reasons = ", ".join(f"{n} {rule}" for rule, n in dropped.items() if n)
        found = f"no listens left of {report.rows} rows ({reasons})"
        rule = max(dropped, key=lambda rule: dropped[rule])
        error = EmptyListensError(rows.files.place, found, remedy=RULES[rule])
        error.report = report
        raise error
    return artists, plays, report


def _rules_of_spellings(spellings: pl.DataFrame, params: ListensParams) -> Array:
    """Return the number of the rule that drops each spelling, or `KEPT`: uint8."""
    non_artists = NonArtists(params.drop_names)
    names = spellings["name"].to_list()
    has_mbid = spellings["mbid"].str.to_lowercase().str.contains(IS_MBID).to_numpy()
    rules = np.full(len(names), KEPT, np.uint8)
    # The first rule that applies counts: they are assigned in reverse.
    pairs = zip(spellings["mbid"], names, strict=True)
    is_unwanted = np.fromiter((non_artists.include(*pair) for pair in pairs), np.bool_, len(names))
    rules[is_unwanted] = NUMBER["unwanted_name"]
    if params.require_mbid:
        rules[~has_mbid] = NUMBER["without_mbid"]
    nameless = [row for row in np.flatnonzero(~has_mbid) if not names[row].strip()]
    rules[nameless] = NUMBER["without_artist"]
    return rules


def _identify(
    spellings: pl.DataFrame, counts: RuleCounts
) -> tuple[pd.DataFrame, Array, Collisions]:
    """Identify the artists of the kept lines: artist, name, mbid; sorted by artist.

    An artist's name is the spelling in most rows, of those that are not blank, without featured
    guests. Also returns the row of the artist of each spelling, (spellings,), int32: 0 where no
    line was kept.
    """
    kept = (
        spellings.with_columns(
            rows=pl.Series(counts.spelling_rows), total=pl.Series(counts.spelling_plays)
        )
        .with_row_index("number")
        .filter(pl.col("rows") > 0)
    )
    names = strip_spellings(kept.select("mbid", "name").iter_rows())
    spelt = (
        kept.with_columns(name=pl.Series(names, dtype=pl.String))
        .group_by("mbid", "name")  # they were different only by guests or blanks around them
        .agg("number", pl.col("rows").sum(), pl.col("total").sum())
        .sort(
            pl.col("name") == "",
            *("rows", "total", "mbid", "name"),
            descending=[False, True, True, False, False],
        )
    )
    pairs = normalise_spellings(spelt.select("mbid", "name").iter_rows())
    ids = identify(pairs)
    artist, name = pl.col("artist"), pl.col("name")
    table = (
        pl.DataFrame({"artist": pl.Series(ids, dtype=pl.String), "name": spelt["name"]})
        .unique("artist", keep="first", maintain_order=True)
        .sort("artist")
        # what `str.split` takes for blanks
        .with_columns(name.str.replace_all(r"[\s\x1c-\x1f]+", " ").str.strip_chars(" "))
        .select(
            "artist",
            name=pl.when(name == "").then(artist).otherwise(name),
            mbid=pl.when(artist.str.contains(IS_MBID)).then(artist).otherwise(pl.lit("")),
        )
    )
    artists = pd.DataFrame({column: table[column].to_list() for column in table.columns})
    rows = pd.Index(artists["artist"]).get_indexer(pd.Index(ids))
    members = spelt.select("number", row=pl.Series(rows)).explode("number")
    artist_of_spelling = np.zeros(len(spellings), np.int32)
    artist_of_spelling[members["number"].to_numpy()] = members["row"].to_numpy()
    return artists, artist_of_spelling, find_collisions(pairs, spelt["rows"].to_list())


def _popularity(artists: pd.DataFrame) -> list[Popularity]:
    """Return the curve of popularity, at powers of ten."""
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

"""Generated files like Last.fm-360K and Last.fm-1K: long-tailed, with quirks, written fast.

At full size the first has 17.5 million rows, 1.6 GB, 359,000 listeners and 160,000 artists. A few
rows in a hundred thousand are malformed or have plays that are not a number, one artist in three
has no MusicBrainz id, and one name in a thousand holds a quote.
"""

import hashlib
from pathlib import Path

import numpy as np
import numpy.typing as npt
import polars as pl

Ints = npt.NDArray[np.int64]

ROWS = 17_559_530
ROWS_PER_LISTENER = 48.87  # of Last.fm-360K
ARTISTS = 292_000  # that can be drawn; more than half of them are at full size
LISTENERS_AT_A_TIME = 20_000
LISTENS, LISTENERS_1K = 19_150_868, 992  # of Last.fm-1K


def write_listens(path: Path, n_rows: int = ROWS, seed: int = 1) -> int:
    """Write a file of about `n_rows` rows; returns how many."""
    random = np.random.default_rng(seed)
    artists = _artists(random)
    weights = 1 / (np.arange(ARTISTS) + 30.0) ** 1.15
    cumulated = np.cumsum(weights / weights.sum())
    n_listeners, written = max(1, round(n_rows / ROWS_PER_LISTENER)), 0
    with path.open("wb") as file:
        for start in range(0, n_listeners, LISTENERS_AT_A_TIME):
            stop = min(start + LISTENERS_AT_A_TIME, n_listeners)
            listener, artist = _draw_pairs(random, stop - start, cumulated)
            _rows(random, start, stop, listener, artists, artist).write_csv(
                file, separator="\t", include_header=False, quote_style="never"
            )
            written += len(artist)
    return written


def _draw_pairs(
    random: np.random.Generator, n: int, cumulated: npt.NDArray[np.float64]
) -> list[Ints]:
    """Draw pairs of listener and artist, each once: (2, rows)."""
    degree = np.clip(random.normal(1.05 * ROWS_PER_LISTENER, 5, n), 2, 160).astype(np.int64)
    listener = np.repeat(np.arange(n), degree)
    artist = np.searchsorted(cumulated, random.random(len(listener)))
    pairs = np.unique(listener * ARTISTS + np.minimum(artist, ARTISTS - 1))
    random.shuffle(pairs)
    pairs = pairs[np.argsort(pairs // ARTISTS, kind="stable")]
    return [pairs // ARTISTS, pairs % ARTISTS]


def _artists(random: np.random.Generator) -> pl.DataFrame:
    names = []
    for i in range(ARTISTS):
        letters = hashlib.sha256(str(i).encode()).hexdigest()
        quote = '"' if i % 1000 == 7 else ""
        names.append(
            f"{quote}{letters[:4].capitalize()} {letters[4 : 5 + i % 9]} é{i}"[: 8 + i % 12]
        )
    digits = [hashlib.sha256(b"m%d" % i).hexdigest() for i in range(ARTISTS)]
    mbids = [f"{d[:8]}-{d[8:12]}-{d[12:16]}-{d[16:20]}-{d[20:32]}" for d in digits]
    without = random.random(ARTISTS) < np.where(np.arange(ARTISTS) < 5000, 0.01, 0.3)
    return pl.DataFrame({"mbid": np.where(without, "", mbids), "name": names})


def _rows(
    random: np.random.Generator,
    start: int,
    stop: int,
    listener: Ints,
    artists: pl.DataFrame,
    artist: Ints,
) -> pl.DataFrame:
    names = [hashlib.sha1(b"%d" % number).hexdigest() for number in range(start, stop)]  # noqa: S324
    plays = np.ceil(random.lognormal(4.0, 1.3, len(artist))).astype(np.int64)
    odd = random.random(len(artist))
    shown = pl.Series(plays).cast(pl.String)
    return pl.DataFrame(
        {
            "listener": pl.Series(names).gather(listener),
            "mbid": artists["mbid"].gather(artist),
            "name": artists["name"].gather(artist),
            "plays": pl.select(
                pl.when(pl.lit(pl.Series(odd < 1e-5)))
                .then(pl.lit("x\ty"))
                .when(pl.lit(pl.Series(odd > 1 - 1e-5)))
                .then(pl.lit("0"))
                .otherwise(pl.lit(shown))
            ).to_series(),
        }
    )


def write_scrobbles(path: Path, n_listens: int = LISTENS, seed: int = 1) -> int:
    """Write a log like Last.fm-1K of about `n_listens` listens; returns how many.

    A listener has a few hundred artists, and listens in sessions of some ten recordings, mostly
    several by one artist, four minutes apart; most recent first, as in the original.
    """
    random = np.random.default_rng(seed)
    artists = _artists(random)
    weights = 1 / (np.arange(ARTISTS) + 30.0) ** 1.15
    cumulated = np.cumsum(weights / weights.sum())
    written = 0
    with path.open("wb") as file:
        for listener in range(LISTENERS_1K):
            n = max(1, n_listens // LISTENERS_1K)
            known = np.minimum(np.searchsorted(cumulated, random.random(800)), ARTISTS - 1)
            favourite = known[(random.power(0.4, n) * len(known)).astype(np.int64)]
            run = np.cumsum(random.random(n) < 1 / 3)  # of recordings by one artist
            pause = random.random(n) < 1 / 14
            gaps = np.where(pause, random.exponential(50_000, n) + 1800, random.normal(240, 60, n))
            times = 1_100_000_000 + np.cumsum(np.maximum(gaps, 30)).astype(np.int64)
            artist = pl.Series(favourite[run - run[0]])[::-1]
            rows = pl.DataFrame(
                {
                    "listener": pl.repeat(f"user_{listener:06}", n, eager=True),
                    "time": pl.from_epoch(pl.Series(times[::-1])).dt.strftime("%Y-%m-%dT%H:%M:%SZ"),
                    "mbid": artists["mbid"].gather(artist),
                    "name": artists["name"].gather(artist),
                    "recording_mbid": artists["mbid"].gather(artist),
                    "recording": pl.repeat("A recording of some length", n, eager=True),
                }
            )
            rows.write_csv(file, separator="\t", include_header=False, quote_style="never")
            written += n
    return written

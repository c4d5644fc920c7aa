"""Listeners who choose artists near their own taste, written as Last.fm-360K.

A listener has a taste in the space of styles, drawn evenly from a cube a little wider than that of
the artists, so that artists at its edge have listeners too. An artist is chosen with a weight
of `popularity * exp(-|taste - style|^2 / (2 * BREADTH^2))`, without replacement (Gumbel's trick);
plays are log-normal. So co-listening falls with the distance of styles, and popularity adds noise.

Listeners are drawn and written a block at a time: time grows with artists times listeners (about
60 ns each, on one core), memory with what is played.

The file also has the quirks of the real one, a few of each, to test the readers: see `_quirks`.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import date, timedelta
from pathlib import Path

import numpy as np
from scipy.sparse import csr_array

from twinear.acquisition.sample.style import ImaginedArtists, random_mbid

PLAYS_FILE = "usersha1-artmbid-artname-plays.tsv"
PROFILE_FILE = "usersha1-profile.tsv"

BREADTH = 0.4
TASTE_WIDTH = 1.5
MIN_ARTISTS, MAX_ARTISTS = 4, 13  # of a listener
BLOCK = 2**20  # listeners times artists drawn at a time

BOGUS_LISTENER = "sep 20, 2008"  # a date that slipped into the listeners' column of the original
UNKNOWN_NAME = "[unknown]"
ONCE_NAME = "Once Heard"
N_UNKNOWN = 3
N_WITHOUT_MBID = 5

_COUNTRIES = ("Germany", "United States", "Brazil", "Poland", "Japan", "Finland", "Côte d'Ivoire")
_MONTHS = "JanFebMarAprMayJunJulAugSepOctNovDec"  # in English whatever the locale
_FIRST_SIGNUP = date(2002, 10, 29)


@dataclass(frozen=True, kw_only=True, eq=False)
class ImaginedListeners:
    """Listeners and how often they played each artist."""

    ids: list[str]  # SHA-1-like hex of each listener; the last one has no profile
    plays: csr_array  # int64 (listeners, artists), columns in order; absent where never played


def imagine_listeners(
    artists: ImaginedArtists, n_listeners: int, rng: np.random.Generator
) -> ImaginedListeners:
    """Draw listeners and let each choose artists."""
    n_artists, width = artists.styles.shape
    tastes = rng.uniform(-TASTE_WIDTH, TASTE_WIDTH, (n_listeners, width))
    step = max(1, BLOCK // n_artists)
    blocks = [slice(start, start + step) for start in range(0, n_listeners, step)]
    # the order of the draws decides every value: weights of all listeners, counts, plays, ids
    favourites = np.concatenate([_favourites(tastes[block], artists, rng) for block in blocks])
    counts = rng.integers(MIN_ARTISTS, MAX_ARTISTS, n_listeners, endpoint=True)
    chosen = np.arange(favourites.shape[1]) < counts[:, None]
    plays = []
    for block in blocks:
        drawn = rng.lognormal(4.0, 1.2, (len(tastes[block]), n_artists))
        drawn = np.take_along_axis(drawn, favourites[block], axis=1)
        plays.append(np.ceil(drawn[chosen[block]]).astype(np.int64))
    ends = np.cumsum(chosen.sum(axis=1))
    table = csr_array(
        (np.concatenate(plays), favourites[chosen], np.concatenate([[0], ends])),
        shape=(n_listeners, n_artists),
    )
    table.sort_indices()
    return ImaginedListeners(ids=[rng.bytes(20).hex() for _ in range(n_listeners)], plays=table)


def _favourites(
    tastes: np.ndarray, artists: ImaginedArtists, rng: np.random.Generator
) -> np.ndarray:
    """Rank the artists of each listener, the favourite first: (listeners, `MAX_ARTISTS` or all)."""
    squared = sum(
        (tastes[:, axis, None] - artists.styles[:, axis]) ** 2 for axis in range(tastes.shape[1])
    )
    log_weight = np.log(artists.popularity) - squared / (2 * BREADTH**2)
    log_weight += rng.gumbel(size=log_weight.shape)
    n = min(MAX_ARTISTS, log_weight.shape[1])
    best = np.argpartition(-log_weight, n - 1, axis=1)[:, :n]
    order = np.argsort(-np.take_along_axis(log_weight, best, axis=1), axis=1)
    return np.take_along_axis(best, order, axis=1)


def write_listens(
    path: Path, artists: ImaginedArtists, listeners: ImaginedListeners, rng: np.random.Generator
) -> None:
    """Write the rows of plays, grouped by listener, most played first, quirks at the end."""
    quirks = _quirks(artists, rng)
    indptr, indices, data = listeners.plays.indptr, listeners.plays.indices, listeners.plays.data
    # no translation of line ends: one name has a carriage return in it
    with path.open("w", encoding="utf-8", newline="") as file:
        for row, listener in enumerate(listeners.ids):
            played = slice(indptr[row], indptr[row + 1])
            top = np.argsort(-data[played], kind="stable")
            for artist, plays in zip(indices[played][top], data[played][top], strict=True):
                line = (listener, artists.mbids[artist], artists.names[artist], str(plays))
                file.write("\t".join(line) + "\n")
            for quirk in next(quirks, []):
                file.write("\t".join((listener, *quirk)) + "\n")
        bogus = (BOGUS_LISTENER, artists.mbids[-1], artists.names[-1], "1")
        file.write("\t".join(bogus) + "\n")


def _quirks(artists: ImaginedArtists, rng: np.random.Generator) -> Iterator[list[tuple[str, ...]]]:
    """Odd rows, without their listener, for the first listeners one after another."""
    mbid, name = artists.mbids[-1], artists.names[-1]
    unknown = random_mbid(rng)
    for known in artists.names[:N_WITHOUT_MBID]:
        yield [("", known, "1")]
    for _ in range(N_UNKNOWN):
        yield [(unknown, UNKNOWN_NAME, "1")]
    yield [(mbid, f"{name[:2]}\r{name[2:]}", "1")]  # a carriage return within the name
    yield [(mbid, name)]  # a tab too few
    yield [(mbid, name, "1", "")]  # a tab too many
    yield [(mbid, name, "1.5")]  # plays that are not a whole number
    yield [(random_mbid(rng), ONCE_NAME, "1")]  # an artist that occurs once


def write_profiles(path: Path, listeners: ImaginedListeners, rng: np.random.Generator) -> None:
    """Write the rows of profiles, some fields empty; the last listener has none."""
    with path.open("w", encoding="utf-8", newline="") as file:
        for listener in listeners.ids[:-1]:
            gender = ("f", "m", "")[rng.choice(3, p=(0.3, 0.6, 0.1))]
            age = str(rng.integers(15, 60)) if rng.random() < 0.8 else ""
            signup = _FIRST_SIGNUP + timedelta(days=int(rng.integers(2400)))
            country = _COUNTRIES[rng.integers(len(_COUNTRIES))]
            month = _MONTHS[3 * signup.month - 3 : 3 * signup.month]
            date_text = f"{month} {signup.day}, {signup.year}"
            file.write("\t".join((listener, gender, age, country, date_text)) + "\n")

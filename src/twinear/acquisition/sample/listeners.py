"""Listeners who choose artists near their own taste, written as Last.fm-360K.

A listener has a taste in the space of styles, drawn evenly from a cube a little wider than that of
the artists, so that artists at its edge have listeners too. An artist is chosen with a weight
of `popularity * exp(-|taste - style|^2 / (2 * BREADTH^2))`, without replacement (Gumbel's trick);
plays are log-normal. So co-listening falls with the distance of styles, and popularity adds noise.

The file also has the quirks of the real one, a few of each, to test the readers: see `_quirks`.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import date, timedelta

import numpy as np

from twinear.acquisition.sample.style import ImaginedArtists, random_mbid

PLAYS_FILE = "usersha1-artmbid-artname-plays.tsv"
PROFILE_FILE = "usersha1-profile.tsv"

BREADTH = 0.4
TASTE_WIDTH = 1.5
MIN_ARTISTS, MAX_ARTISTS = 4, 13  # of a listener

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
    plays: np.ndarray  # (listeners, artists), 0 where never played


def imagine_listeners(
    artists: ImaginedArtists, n_listeners: int, rng: np.random.Generator
) -> ImaginedListeners:
    """Draw listeners and let each choose artists."""
    width = artists.styles.shape[1]
    tastes = rng.uniform(-TASTE_WIDTH, TASTE_WIDTH, (n_listeners, width))
    chosen = _choices(tastes, artists, rng)
    plays = np.ceil(rng.lognormal(4.0, 1.2, chosen.shape)).astype(np.int64)
    return ImaginedListeners(
        ids=[rng.bytes(20).hex() for _ in range(n_listeners)], plays=np.where(chosen, plays, 0)
    )


def _choices(tastes: np.ndarray, artists: ImaginedArtists, rng: np.random.Generator) -> np.ndarray:
    """Which artists each listener plays: bool (listeners, artists)."""
    squared = ((tastes[:, None] - artists.styles) ** 2).sum(-1)
    log_weight = np.log(artists.popularity) - squared / (2 * BREADTH**2)
    order = np.argsort(-(log_weight + rng.gumbel(size=log_weight.shape)), axis=1)
    counts = rng.integers(MIN_ARTISTS, MAX_ARTISTS, len(tastes), endpoint=True)
    counts = np.minimum(counts, len(artists.names))
    chosen = np.zeros(order.shape, dtype=bool)
    np.put_along_axis(chosen, order, np.arange(order.shape[1]) < counts[:, None], axis=1)
    return chosen


def listens_text(
    artists: ImaginedArtists, listeners: ImaginedListeners, rng: np.random.Generator
) -> str:
    """The rows of plays, grouped by listener, most played first, quirks at the end."""
    quirks = _quirks(artists, rng)
    lines: list[str] = []
    for listener, plays in zip(listeners.ids, listeners.plays, strict=True):
        top = np.argsort(-plays, kind="stable")[: np.count_nonzero(plays)]
        rows = [
            (artists.mbids[artist], artists.names[artist], str(plays[artist])) for artist in top
        ]
        lines += ["\t".join((listener, *row)) for row in rows]
        lines += ["\t".join((listener, *row)) for row in next(quirks, [])]
    lines += ["\t".join((BOGUS_LISTENER, artists.mbids[-1], artists.names[-1], "1"))]
    return "\n".join(lines) + "\n"


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


def profile_text(listeners: ImaginedListeners, rng: np.random.Generator) -> str:
    """The rows of profiles, some fields empty; the last listener has none."""
    lines = []
    for listener in listeners.ids[:-1]:
        gender = ("f", "m", "")[rng.choice(3, p=(0.3, 0.6, 0.1))]
        age = str(rng.integers(15, 60)) if rng.random() < 0.8 else ""
        signup = _FIRST_SIGNUP + timedelta(days=int(rng.integers(2400)))
        country = _COUNTRIES[rng.integers(len(_COUNTRIES))]
        month = _MONTHS[3 * signup.month - 3 : 3 * signup.month]
        date_text = f"{month} {signup.day}, {signup.year}"
        lines.append("\t".join((listener, gender, age, country, date_text)) + "\n")
    return "".join(lines)

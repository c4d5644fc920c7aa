"""The imagined artists: names, MusicBrainz-like ids, hidden styles, popularity.

Styles are a Latin hypercube, so that the artists cover the range of every dimension; popularity
follows Zipf's law in an order that is independent of style.
"""

import uuid
from dataclasses import dataclass

import numpy as np
from scipy.stats import qmc

DIMENSIONS = ("pace", "sustain", "height")
QUOTED_NAME = 'The 12" Lanterns'  # Last.fm-360K leaves double quotes as they are
ZIPF = 0.8
MOST_ARTISTS = 100_000  # two words each, of 600,000 or so

_ONSETS = ("b", "br", "d", "dr", "f", "g", "k", "kl", "l", "m", "n", "p", "s", "sk", "t", "v", "z")
_VOWELS = ("a", "e", "i", "o", "u", "ai", "ou", "é", "ö")
_CODAS = ("", "l", "n", "nd", "r", "rk", "s", "sh", "th", "x")
_PATTERNS = ("{}", "{} {}", "The {}s", "{} & {}", "DJ {}", "{} {} Trio")


@dataclass(frozen=True, kw_only=True, eq=False)
class ImaginedArtists:
    """The artists and their hidden properties."""

    names: list[str]  # unique
    mbids: list[str]  # unique; random UUIDs (version 4) that no real artist has
    styles: np.ndarray  # (artists, dimensions), in [-1, 1], in the order of `DIMENSIONS`
    popularity: np.ndarray  # (artists,), positive, sums to 1


def imagine_artists(n_artists: int, rng: np.random.Generator) -> ImaginedArtists:
    """Draw artists; one of them has an odd double quote in its name."""
    # the order of the draws decides every value
    styles = 2 * qmc.LatinHypercube(len(DIMENSIONS), rng=rng).random(n_artists) - 1
    names = [QUOTED_NAME, *_names(n_artists - 1, rng)]
    mbids = [random_mbid(rng) for _ in range(n_artists)]
    weights = rng.permutation(np.arange(1, n_artists + 1) ** -ZIPF)
    popularity = weights / weights.sum()
    return ImaginedArtists(names=names, mbids=mbids, styles=styles, popularity=popularity)


def random_mbid(rng: np.random.Generator) -> str:
    """A UUID of version 4 from the generator."""
    return str(uuid.UUID(bytes=rng.bytes(16), version=4))


def invent_word(rng: np.random.Generator) -> str:
    """A capitalised word of two syllables."""
    parts = (_ONSETS, _VOWELS, _CODAS[:3], _ONSETS, _VOWELS, _CODAS)
    return "".join(part[rng.integers(len(part))] for part in parts).capitalize()


def _names(n: int, rng: np.random.Generator) -> list[str]:
    """Invent names in which no word is used twice, so that no two normalise to the same."""
    words: dict[str, None] = {}  # an ordered set
    while len(words) < 2 * n:
        words[invent_word(rng)] = None
    pairs = zip(*[iter(words)] * 2, strict=True)
    return [_PATTERNS[rng.integers(len(_PATTERNS))].format(*pair) for pair in pairs]

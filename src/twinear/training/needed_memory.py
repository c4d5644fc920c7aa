"""How much memory a training takes at least, so that too little is said before work begins."""

from twinear.base.errors import TwinearError
from twinear.compute.memory import MEMORY
from twinear.spectrograms.shards import Shards
from twinear.spectrograms.spectrograms import Spectrograms
from twinear.training.untrained import MOST

FIXED = 900 * 10**6  # bytes of the libraries, the network and the steps
N_STATISTICS = 2500  # numbers of a clip at most, with the usual front ends
PER_CLIP = 8 * 2**10  # names, coordinates, embeddings, some of them several times
DOUBLE, SINGLE = 8, 4  # bytes of a number


def require_memory(memory: int, n_clips: int, n_artists: int, clips: Spectrograms) -> None:
    """Require the bytes that a training on clips in shards takes, however few stay in memory.

    `n_artists` are those all of whose pairs have a similarity in memory.

    Raises
    ------
    TwinearError
        It takes more; the message names how much.
    """
    if not isinstance(clips.values, Shards):
        return
    needed = needed_memory(n_clips, n_artists, stored=clips.compact is not None)
    if memory < needed:
        gigabytes = needed / 10**9
        raise TwinearError(
            MEMORY,
            f"allows {memory / 10**9:.1f} GB, too little to train on {n_clips:,} clips",
            expected=f"{gigabytes:.1f} GB or more",
            remedy=f"set {MEMORY}={gigabytes:.1f}GB, or give fewer clips",
        )


def needed_memory(n_clips: int, n_artists: int, *, stored: bool) -> int:
    """Estimate the bytes of a training, without the clips that are in memory if there is room.

    The largest parts are the axes of the statistics, which are found in double precision, what is
    kept of every clip, and the similarity of the artists. Statistics that are not `stored` are kept
    in memory too.

    Examples
    --------
    >>> needed_memory(100_000, 2_000, stored=True) / 10**9
    3.0
    """
    axes = 3 * min(n_clips, MOST) * N_STATISTICS * DOUBLE
    of_clips = n_clips * (PER_CLIP + (0 if stored else N_STATISTICS * SINGLE))
    return FIXED + axes + of_clips + 4 * n_artists**2 * SINGLE

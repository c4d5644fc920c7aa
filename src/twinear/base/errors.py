"""What goes wrong for a user: one root, few classes, one line each.

A message reads `place: found, expected …; remedy`. The edges (stages, command line, server) turn
a `TwinearError` into that line and exit status 1; anything else is a bug and keeps its traceback.
"""

import sys
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from difflib import get_close_matches
from functools import partial
from io import TextIOWrapper

from twinear.base.interrupts import INTERRUPTED, Terminated, signals_as_exceptions


class TwinearError(Exception):
    """Something the user can fix.

    Parameters
    ----------
    place
        Where: a file, `file:line`, or a params key.
    found
        What is there.
    expected
        What should be there, if `found` does not say it.
    remedy
        What to do about it.

    Examples
    --------
    >>> print(TwinearError("clips.csv:17", "no file a.mp3", remedy="run 'dvc pull'"))
    clips.csv:17: no file a.mp3; run 'dvc pull'
    """

    def __init__(self, place: object, found: str, *, expected: str = "", remedy: str = "") -> None:
        self.parts = (str(place), found, expected, remedy)
        message = f"{place}: {found}"
        if expected:
            message += f", expected {expected}"
        if remedy:
            message += f"; {remedy}"
        # a file name that is not UTF-8 must not stop the message from being printed
        super().__init__(message.encode(errors="replace").decode())

    def __reduce__(self) -> tuple[Callable[..., "TwinearError"], tuple[object, ...]]:
        """Pickle by the four parts, so that the error survives the way from another process."""
        place, found, expected, remedy = self.parts
        return partial(type(self), expected=expected, remedy=remedy), (place, found)


class ParamsError(TwinearError):
    """A key or value of `params.yaml` that cannot be used."""


class DataError(TwinearError):
    """A file or table that is missing, malformed, too small, or cannot be written."""


class ClipError(TwinearError):
    """An audio file that cannot be used."""


class TrainingError(TwinearError):
    """A training that cannot go on."""


def nearest(word: str, words: Iterable[str], n: int = 1, cutoff: float = 0.6) -> list[str]:
    """Find the `n` words most like `word`, best first; empty if none is near.

    Parameters
    ----------
    cutoff
        The least likeness, in [0, 1].

    Examples
    --------
    >>> nearest("learning_rat", ["learning_rate", "epochs"])
    ['learning_rate']
    """
    return get_close_matches(word, list(words), n=n, cutoff=cutoff)


@contextmanager
def one_line_errors() -> Iterator[None]:
    """Turn a `TwinearError` into one line on stderr and exit status 1.

    So with Ctrl-C, status 130, and SIGTERM, status 143. What a terminal cannot show is printed as a
    replacement.
    """
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, TextIOWrapper):
            stream.reconfigure(errors="replace")
    try:
        with signals_as_exceptions():
            yield
    except TwinearError as error:
        _say(f"error: {error}")
        raise SystemExit(1) from None
    except KeyboardInterrupt:
        _say("interrupted")
        raise SystemExit(INTERRUPTED) from None
    except Terminated:
        _say("terminated")
        raise


def _say(line: str) -> None:
    """Print to stderr, on a line of its own where a progress bar is still open."""
    if "tqdm" in sys.modules:
        from tqdm import tqdm

        tqdm.write(line, file=sys.stderr)
    else:
        print(line, file=sys.stderr)

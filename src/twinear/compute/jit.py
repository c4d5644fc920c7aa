"""Functions compiled to machine code, which run without Python's lock.

The compiled code is cached beside its source or, where that folder is read-only, in the user's
cache: only the very first run waits for the compiler.
"""

from collections.abc import Callable
from typing import Any, TypeVar, cast

import numba

F = TypeVar("F", bound=Callable[..., Any])


def compiled(function: F) -> F:
    """Compile a function at its first call."""
    return cast(F, numba.njit(nogil=True, cache=True, boundscheck=False)(function))


def compiled_sums(function: F) -> F:
    """Compile a function whose sums may be added up in any order, so that they use vectors.

    The last digit of a result may differ from machine to machine.
    """
    reordered = {"reassoc", "contract", "nsz"}
    return cast(
        F, numba.njit(nogil=True, cache=True, boundscheck=False, fastmath=reordered)(function)
    )

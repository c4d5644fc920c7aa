"""Functions compiled to machine code, which run without Python's lock.

The code is kept beside its source or, where that cannot be written, in the user's cache: only the
first run of all waits for the compiler.
"""

from collections.abc import Callable
from typing import Any, TypeVar, cast

import numba

F = TypeVar("F", bound=Callable[..., Any])


def compiled(function: F) -> F:
    """Compile a function when it is first called."""
    return cast(F, numba.njit(nogil=True, cache=True, boundscheck=False)(function))

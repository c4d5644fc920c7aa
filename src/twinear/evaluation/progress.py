"""How a long computation shows its progress: a function with the interface of `tqdm.tqdm`."""

from collections.abc import Callable, Iterable
from typing import Any

Progress = Callable[..., Iterable[Any]]  # (items, *, desc, unit, total, initial) -> the same items


def no_progress(items: Iterable[Any], **options: Any) -> Iterable[Any]:
    """Show nothing."""
    return items

"""How much memory may be used: a setting of the machine that changes no result."""

import os
import re
from collections.abc import Mapping
from pathlib import Path

import duckdb
from pydantic import ByteSize, TypeAdapter, ValidationError

from twinear.base.errors import TwinearError

MEMORY = "TWINEAR_MEMORY"  # environment variable
FIXED = 550 * 10**6  # bytes that the libraries, the names and the text being read take in any case
LEAST = 600 * 10**6


def choose_memory(environment: Mapping[str, str]) -> int:
    """Return the bytes that TWINEAR_MEMORY allows, else half of this machine's memory.

    `TwinearError` if the variable holds no amount, or too small a one.

    Examples
    --------
    >>> choose_memory({"TWINEAR_MEMORY": "1.5GB"})
    1500000000
    """
    text = environment.get(MEMORY, "").strip()
    if not text:
        return os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") // 2
    try:
        amount = TypeAdapter(ByteSize).validate_python(text)
    except ValidationError:
        amount = None
    # ByteSize ignores what follows the unit ("2 GB of it").
    if amount is None or not ByteSize.byte_string_re.fullmatch(text):
        raise TwinearError(MEMORY, f"found '{text}'", expected="an amount such as 2GB")
    if amount < LEAST:
        found = f"{text} is too little to work with"
        raise TwinearError(MEMORY, found, expected=f"{LEAST // 10**6}MB or more")
    return int(amount)


def literal_path(path: Path) -> str:
    """Return a path as DuckDB must be given it, because it takes every path for a pattern.

    Examples
    --------
    >>> literal_path(Path("mine [1]/plays*.parquet"))
    'mine [[]1]/plays[*].parquet'
    """
    return re.sub(r"[*?[]", r"[\g<0>]", str(path))


def limited_engine(memory: int, spill: Path | None = None) -> duckdb.DuckDBPyConnection:
    """Open DuckDB with `memory` bytes; what does not fit goes to the folder `spill`."""
    return duckdb.connect(
        config={
            "memory_limit": f"{memory // 2**20}MiB",
            "threads": 2,  # each takes memory of its own
            "temp_directory": str(spill or ""),
        }
    )

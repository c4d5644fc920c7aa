"""How much memory may be used: a setting of the machine that changes no result."""

import os
import re
from collections.abc import Mapping
from pathlib import Path

import duckdb

from twinear.base.errors import TwinearError

MEMORY = "TWINEAR_MEMORY"  # the environment's word for it
LEAST = 600 * 10**6  # the libraries, names and what is being read take most of this
FIXED = 550 * 10**6  # these
UNITS = {"": 1, "K": 10**3, "M": 10**6, "G": 10**9, "T": 10**12}


def choose_memory(environment: Mapping[str, str]) -> int:
    """Bytes that TWINEAR_MEMORY allows ("2GB", "500M"), else half of this machine's memory.

    Raises
    ------
    TwinearError
        No amount, or too little to work with.
    """
    said = environment.get(MEMORY, "").strip()
    if not said:
        return os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") // 2
    match = re.fullmatch(r"(\d+(?:\.\d+)?)\s*([KMGT]?)B?", said.upper())
    if match is None:
        raise TwinearError(MEMORY, f"found '{said}'", expected="an amount such as 2GB")
    amount = int(float(match[1]) * UNITS[match[2]])
    if amount < LEAST:
        found = f"{said} is too little to work with"
        raise TwinearError(MEMORY, found, expected=f"{LEAST // 10**6}MB or more")
    return amount


def limited_engine(memory: int, spill: Path | None = None) -> duckdb.DuckDBPyConnection:
    """DuckDB within some bytes of memory; what does not fit goes to the folder `spill`."""
    return duckdb.connect(
        config={
            "memory_limit": f"{memory // 2**20}MiB",
            "threads": 2,  # each takes memory of its own
            "temp_directory": str(spill or ""),
        }
    )

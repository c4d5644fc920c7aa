"""MusicBrainz ids that were merged into others: `redirects.csv`, columns old and new.

The file lies beside the listens. An old id means the new one wherever it occurs.
"""

import csv
from collections.abc import Mapping
from pathlib import Path

from twinear.artists.identity import is_mbid
from twinear.base.errors import DataError
from twinear.base.files import replacing
from twinear.base.table import read_table

COLUMNS = ("old", "new")
REMEDY = "fix it or remove it"


def read_redirects(path: Path | None) -> dict[str, str]:
    """Read old MusicBrainz id -> current id, with chains followed; empty without a file.

    Raises
    ------
    DataError
        Other columns, values that are no ids, an id with two successors, or a circle.
    """
    if path is None or not path.exists():
        return {}
    table = read_table(path, COLUMNS, REMEDY, COLUMNS)
    if tuple(table.columns) != COLUMNS:
        raise DataError(path, "has other columns", expected="old,new", remedy=REMEDY)
    successors: dict[str, str] = {}
    for row in table.rows:
        place = f"{path}:{row.line}"
        old, new = (row.values[column].lower() for column in COLUMNS)
        if not is_mbid(old) or not is_mbid(new):
            raise DataError(place, "is no pair of MusicBrainz ids", remedy=REMEDY)
        if successors.setdefault(old, new) != new:
            found = f"{old} was merged into {successors[old]} above"
            raise DataError(place, found, remedy=REMEDY)
    current = {}
    for old, new in successors.items():
        passed = {old}
        while new in successors:
            if new in passed:
                raise DataError(path, f"{old} leads in a circle", remedy=REMEDY)
            passed.add(new)
            new = successors[new]
        current[old] = new
    return current


def write_redirects(redirects: Mapping[str, str], path: Path) -> None:
    """Write the table, also when it is empty."""
    with replacing(path) as temporary, temporary.open("w", encoding="utf-8", newline="") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(COLUMNS)
        writer.writerows(sorted(redirects.items()))


def add_redirects(redirects: Mapping[str, str], path: Path) -> None:
    """Add to the table; new entries replace old ones that contradict them."""
    known = read_redirects(path)
    merged = {old: new for old, new in known.items() if old not in redirects.values()}
    merged |= redirects
    if merged != known:
        write_redirects(merged, path)

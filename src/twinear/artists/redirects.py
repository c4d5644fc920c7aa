"""MusicBrainz ids that were merged into others: `redirects.csv`, columns old and new.

It stands beside the listens. An old id means the new one, wherever it is met.
"""

import csv
from collections.abc import Mapping
from pathlib import Path

from twinear.artists.identity import is_mbid
from twinear.base.errors import DataError
from twinear.base.files import replacing

COLUMNS = ("old", "new")
REMEDY = "mend it or remove it"


def read_redirects(path: Path | None) -> dict[str, str]:
    """Old MusicBrainz id -> the one that is meant now, chains followed; empty without a file.

    Raises
    ------
    DataError
        Other columns, something else than ids, an id with two successors, or a circle.
    """
    if path is None or not path.exists():
        return {}
    try:
        with path.open(encoding="utf-8-sig", newline="") as file:
            reader = csv.DictReader(file)
            if tuple(reader.fieldnames or ()) != COLUMNS:
                raise DataError(path, "has other columns", expected="old,new", remedy=REMEDY)
            steps: dict[str, str] = {}
            for row in reader:
                _add(steps, row, f"{path}:{reader.line_num}")
    except (UnicodeDecodeError, csv.Error) as error:
        raise DataError(path, f"is not a CSV table in UTF-8 ({error})", remedy=REMEDY) from None
    return {old: _end_of(old, steps, path) for old in steps}


def _add(steps: dict[str, str], row: Mapping[str, str | None], place: str) -> None:
    old, new = ((row[column] or "").strip().lower() for column in COLUMNS)
    if len(row) != len(COLUMNS) or not is_mbid(old) or not is_mbid(new):
        raise DataError(place, "is no pair of MusicBrainz ids", remedy=REMEDY)
    if steps.setdefault(old, new) != new:
        raise DataError(place, f"{old} was merged into {steps[old]} above", remedy=REMEDY)


def _end_of(old: str, steps: Mapping[str, str], path: Path) -> str:
    passed = {old}
    new = steps[old]
    while new in steps:
        if new in passed:
            raise DataError(path, f"{old} leads in a circle", remedy=REMEDY)
        passed.add(new)
        new = steps[new]
    return new


def write_redirects(redirects: Mapping[str, str], path: Path) -> None:
    """Write the merged ids, also when there are none."""
    with replacing(path) as temporary, temporary.open("w", encoding="utf-8", newline="") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(COLUMNS)
        writer.writerows(sorted(redirects.items()))


def add_redirects(redirects: Mapping[str, str], path: Path) -> None:
    """Add to the merged ids that are known; what is newly known wins."""
    known = read_redirects(path)
    merged = {old: new for old, new in known.items() if old not in redirects.values()}
    if {**merged, **redirects} != known:
        write_redirects({**merged, **redirects}, path)

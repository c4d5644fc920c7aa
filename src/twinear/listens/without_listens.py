"""A data folder without listens: a folder of music and nothing else.

It is marked by a file of a certain name, alone in the folder of listens: DVC keeps no empty
folders, and listens that were lost by mistake must not pass for a choice. Beside listens the file
has no meaning. `redirects.csv` may lie there too: it is about the clips' artists as well.
"""

from pathlib import Path

import numpy as np
import pandas as pd
from scipy.sparse import csr_array

from twinear.artists.identity import find_collisions
from twinear.base.files import is_system_file, write_text
from twinear.listens.listens import Listens, ListensReport
from twinear.listens.readers.formats import NO_LISTENS, REDIRECTS
from twinear.listens.sessions import Sessions

EXPLANATION = """\
This corpus has no listens: its artists are compared by sound alone, by an untrained scorer.
To bring listens in, run 'twinear import --listens LISTENS --clips CLIPS --replace', or put files of
listens into this folder and remove this one."""


def mark_without_listens(folder: Path) -> None:
    """Mark a folder of listens, new or empty, as one without listens."""
    folder.mkdir(parents=True, exist_ok=True)
    write_text(folder / NO_LISTENS, EXPLANATION)


def is_without_listens(folder: Path) -> bool:
    """Whether a folder is marked as one without listens and holds none."""
    if not (folder / NO_LISTENS).is_file():
        return False
    files = (path.relative_to(folder) for path in folder.rglob("*") if not path.is_dir())
    others = {path.as_posix() for path in files if not is_system_file(path)}
    return others <= {NO_LISTENS, REDIRECTS}


def write_empty_listens(folder: Path, session_gap: int | None) -> ListensReport:
    """Write the tables of no listens, as `clean_listens` writes those of some."""
    text = {name: pd.Series(dtype=str) for name in ("artist", "name", "mbid")}
    counts = {name: pd.Series(dtype=np.int64) for name in ("listeners", "plays")}
    nothing = csr_array((0, 0), dtype=np.int64)
    sessions = Sessions(plays=nothing, listener=np.empty(0, np.int32))
    Listens(
        artists=pd.DataFrame(text | counts),
        plays=nothing,
        sessions=None if session_gap is None else sessions,
    ).write(folder)
    return ListensReport(
        format="none",
        files=[],
        sources=[],
        left_out={},
        rows=0,
        first_day=None,
        last_day=None,
        kept=0,
        dropped={},
        duplicates=0,
        listeners=0,
        sessions=None if session_gap is None else 0,
        artists=0,
        plays=0,
        merged=0,
        undecodable=0,
        collisions=find_collisions([], []),
        popularity=[],
    )

"""Stage 1: the raw listens -> listens, cleaned and counted; the merged ids beside them."""

from twinear.base.interrupts import end_on_interrupt

end_on_interrupt()  # on Ctrl-C, also while what follows is imported

import os
import sys
from pathlib import Path

from twinear.artists.redirects import read_redirects, write_redirects
from twinear.base.files import write_json
from twinear.base.params import read_params
from twinear.base.stage import run_stage
from twinear.compute.memory import choose_memory
from twinear.listens.listens import ListensParams, clean_listens
from twinear.listens.readers.formats import REDIRECTS
from twinear.listens.sessions import read_basket_params
from twinear.listens.without_listens import is_without_listens, write_empty_listens


def listens(source: Path, folder: Path, redirects: Path, report: Path) -> None:
    """Read, clean, write; the report says what was dropped and why."""
    params = read_params("listens", ListensParams)
    gap = read_basket_params().session_gap
    if is_without_listens(source):
        print("listens: there are none; artists are compared by sound alone", file=sys.stderr)
        counts = write_empty_listens(folder, gap)
    else:
        counts = clean_listens(source, params, folder, choose_memory(os.environ), gap)
    write_redirects(read_redirects(source / REDIRECTS), redirects)
    write_json(report, counts)


if __name__ == "__main__":
    run_stage(listens)

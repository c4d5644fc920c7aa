"""Stage 1: the raw listens -> listens, cleaned and counted; the merged ids beside them."""

import os
from pathlib import Path

from twinear.artists.redirects import read_redirects, write_redirects
from twinear.base.files import write_json
from twinear.base.params import parse_params, read_params, read_sections
from twinear.base.stage import run_stage
from twinear.compute.memory import choose_memory
from twinear.listens.listens import ListensParams, clean_listens
from twinear.listens.readers.formats import REDIRECTS
from twinear.listens.sessions import BasketParams


def listens(source: Path, folder: Path, redirects: Path, report: Path) -> None:
    """Read, clean, write; the report says what was dropped and why."""
    params = read_params("listens", ListensParams)
    section = read_sections()["similarity"]  # the others of its keys are of the next stage
    chosen = {key: section[key] for key in BasketParams.model_fields if key in section}
    baskets = parse_params("similarity", BasketParams, chosen)
    memory = choose_memory(os.environ)
    counts = clean_listens(source, params, folder, memory, baskets.session_gap)
    write_redirects(read_redirects(source / REDIRECTS), redirects)
    write_json(report, counts)


if __name__ == "__main__":
    run_stage(listens)

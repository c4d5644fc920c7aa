"""Stages of the pipeline without DVC."""

import runpy
import sys

from ruamel.yaml import YAML

from tests.conftest import ROOT

COMMANDS: dict[str, str] = {
    name: stage["cmd"] for name, stage in YAML(typ="safe").load(ROOT / "dvc.yaml")["stages"].items()
}


def run_stage(name: str, *paths: str) -> None:
    """Run a stage in the current folder, in this process, with the paths that dvc.yaml gives it.

    Other `paths` may be given instead.
    """
    before = sys.argv
    _, script, *usual = COMMANDS[name].split()
    sys.argv = [script, *(paths or usual)]
    try:
        runpy.run_path(str(ROOT / script), run_name="__main__")
    finally:
        sys.argv = before

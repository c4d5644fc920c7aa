"""Stages of the pipeline without DVC."""

import runpy
import sys

from ruamel.yaml import YAML

from tests.conftest import ROOT

COMMANDS: dict[str, str] = {
    name: stage["cmd"] for name, stage in YAML(typ="safe").load(ROOT / "dvc.yaml")["stages"].items()
}


def run_stage(name: str) -> None:
    """Run the command of a stage in the current folder, in this process."""
    before = sys.argv
    sys.argv = COMMANDS[name].split()[1:]
    try:
        runpy.run_path(sys.argv[0], run_name="__main__")
    finally:
        sys.argv = before

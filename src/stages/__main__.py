"""Every stage in order, without DVC: `python src/stages`. The commands are those of dvc.yaml."""

import shlex
import subprocess
import sys
from pathlib import Path

from ruamel.yaml import YAML


def main() -> None:
    """Run all stages; end with the exit status of the first one that fails."""
    pipeline = YAML(typ="safe").load(Path("dvc.yaml"))["stages"]
    for name, stage in pipeline.items():
        _, *arguments = shlex.split(stage["cmd"])  # `python`: the one that runs this
        print(f"{name}: {stage['desc']}", file=sys.stderr)
        done = subprocess.run([sys.executable, *arguments], check=False)  # noqa: S603
        if done.returncode:
            sys.exit(done.returncode)


if __name__ == "__main__":
    main()

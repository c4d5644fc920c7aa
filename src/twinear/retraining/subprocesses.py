"""Other programs, run so that a person sees what they say and their errors are kept."""

import subprocess
import sys
from collections.abc import Iterable
from dataclasses import dataclass

ERROR = "error: "


@dataclass(frozen=True, kw_only=True)
class Done:
    """How a program ended: its status, its output, and the errors of one line it told."""

    status: int
    output: str
    errors: tuple[str, ...]

    @property
    def reason(self) -> str:
        """Why it failed, in one line."""
        return "; ".join(self.errors) or f"exit status {self.status}"


def run_program(*words: str) -> Done:
    """Run a command line; what it says is kept and passed on to our stderr line by line."""
    with subprocess.Popen(  # noqa: S603
        words, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, errors="replace"
    ) as program:
        lines = list(_passed_on(program.stdout or ()))
    errors = tuple(each.removeprefix(ERROR) for each in lines if each.startswith(ERROR))
    return Done(status=program.returncode, output="\n".join(lines), errors=errors)


def _passed_on(lines: Iterable[str]) -> Iterable[str]:
    for line in lines:
        print(line, end="", file=sys.stderr)
        yield line.rstrip("\n")

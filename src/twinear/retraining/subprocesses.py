"""Run other programs: their output is shown as it comes, and kept together with their errors."""

import shutil
import subprocess
import sys
from dataclasses import dataclass

from twinear.base.errors import TwinearError

ERROR = "error: "  # one-line errors, as twinear and DVC write them, begin with it


@dataclass(frozen=True, kw_only=True)
class ProgramResult:
    """The exit status of a program, its output, and the one-line errors in it."""

    status: int
    output: str
    errors: tuple[str, ...]

    @property
    def reason(self) -> str:
        """Why it failed, in one line.

        Examples
        --------
        >>> ProgramResult(status=1, output="", errors=("a.csv: is missing",)).reason
        'a.csv: is missing'
        >>> ProgramResult(status=2, output="", errors=()).reason
        'exit status 2'
        """
        return "; ".join(self.errors) or f"exit status {self.status}"


def run_program(*words: str) -> ProgramResult:
    """Run a command line; its output is kept, and copied to stderr line by line.

    `TwinearError` if the program is not installed: DVC is an extra.
    """
    if shutil.which(words[0]) is None:
        raise TwinearError(
            words[0], "is not installed here", remedy=f"pip install 'twinear[{words[0]}]'"
        )
    lines = []
    with subprocess.Popen(  # noqa: S603
        words, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, errors="replace"
    ) as program:
        for line in program.stdout or ():
            print(line, end="", file=sys.stderr)
            lines.append(line.rstrip("\n"))
    errors = tuple(line.removeprefix(ERROR) for line in lines if line.startswith(ERROR))
    return ProgramResult(status=program.returncode, output="\n".join(lines), errors=errors)

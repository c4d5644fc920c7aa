"""The entry point: every family of commands, and errors in one line."""

from twinear.cli import asking, bringing, clips, listening
from twinear.cli.app import app
from twinear.errors import one_line_errors

FAMILIES = (asking, bringing, clips, listening)  # importing them is what adds their commands


def main() -> None:
    """Run the command line; an error of the user's becomes one line and exit status 1."""
    with one_line_errors():
        app()

"""The entry point: every family of commands, and errors in one line."""

from twinear.cli import (
    asking,
    bringing,
    champions,
    clips,
    datasets,
    embedding,
    judging,
    listening,
    retraining,
    tuning,
)
from twinear.cli.app import app
from twinear.errors import one_line_errors

FAMILIES = (  # importing them adds their commands
    asking,
    bringing,
    champions,
    clips,
    datasets,
    embedding,
    judging,
    listening,
    retraining,
    tuning,
)


def main() -> None:
    """Run the command line; an error of the user's becomes one line and exit status 1."""
    with one_line_errors():
        app()

"""The entry point: every family of commands, and errors in one line."""

from twinear.base.errors import one_line_errors
from twinear.cli import (  # noqa: F401  # importing them adds their commands
    catalogue,
    clips,
    data,
    embed,
    evaluation,
    library,
    model,
    neighbours,
    playlist,
    promotion,
    serve,
    similar,
    tuning,
)
from twinear.cli.app import app


def main() -> None:
    """Run the command line; a user's mistake becomes one line and exit status 1."""
    with one_line_errors():
        app()

"""The entry point: errors in one line, from the beginning."""

from twinear.base.errors import one_line_errors
from twinear.base.interrupts import INTERRUPTED, end_on_interrupt


def main() -> None:
    """Run the command line; a user's mistake becomes one line and exit status 1."""
    end_on_interrupt()
    from twinear.cli.commands import app

    with one_line_errors():
        try:
            app()
        except SystemExit as ended:
            if ended.code == INTERRUPTED:  # Typer makes this of Ctrl-C, and prints nothing
                raise KeyboardInterrupt from None
            raise

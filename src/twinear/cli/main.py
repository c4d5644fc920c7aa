"""The entry point: every family of commands, and errors in one line."""

from twinear.base.errors import one_line_errors
from twinear.cli import clap as embedding
from twinear.cli import clips, datasets, retraining, tuning
from twinear.cli import data as bringing
from twinear.cli import evaluation as judging
from twinear.cli import neighbours as listening
from twinear.cli import promotion as champions
from twinear.cli import similar as asking
from twinear.cli.app import app

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

"""Every family of commands: importing them adds them to the app."""

from twinear.cli import (  # noqa: F401
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
    track,
    tuning,
)
from twinear.cli.app import app

__all__ = ["app"]

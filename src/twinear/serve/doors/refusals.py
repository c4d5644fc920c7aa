"""Refusals as ListenBrainz and AudioMuse-AI give them, and numbers as the doors read them."""

from fastapi.responses import JSONResponse
from pydantic import BaseModel

from twinear.serve.snapshot import shown

DIGITS = 10  # of a number that are read: no answer has more rows


class Refusal(BaseModel):
    """An error, as a sentence."""

    error: str


class MalformedError(ValueError):
    """A request that is not of the protocol."""


def refuse(status: int, error: str) -> JSONResponse:
    """Write a refusal."""
    return JSONResponse(Refusal(error=shown(error)).model_dump(), status)


def parse_count(name: str, text: str, most: int) -> int:
    """Read a number of rows; more than `most` means `most`.

    Raises
    ------
    MalformedError
        It is not a number, or less than 1.

    Examples
    --------
    >>> parse_count("n", "12", 1000), parse_count("n", "9" * 5000, 1000)
    (12, 1000)
    """
    if not (text.isascii() and text.isdigit() and text.strip("0")):
        raise MalformedError(f"{name} is '{text[:20]}', expected a number from 1")
    return min(int(text.lstrip("0")[:DIGITS]), most)

"""Several questions in one request: an error of one is its answer, and the others are answered."""

from collections.abc import Callable, Sequence
from typing import TypeVar

from twinear.base.errors import TwinearError
from twinear.serve.answers import Error
from twinear.serve.errors import ApiError, api_error

Q = TypeVar("Q")
A = TypeVar("A")


def answer_each(queries: Sequence[Q], answer: Callable[[Q], A]) -> list[A | Error]:
    """Answer every query, in order."""
    answers: list[A | Error] = []
    for query in queries:
        try:
            answers.append(answer(query))
        except ApiError as error:
            answers.append(error.error)
        except TwinearError as error:
            answers.append(api_error(error).error)
    return answers

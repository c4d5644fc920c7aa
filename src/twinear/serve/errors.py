"""What goes wrong, as JSON: every error of the service has the same shape, and names no path."""

import re
from collections.abc import Sequence
from typing import Any

from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse
from starlette.exceptions import HTTPException

from twinear.base.errors import TwinearError
from twinear.serve.answers import Error, ErrorDetails, ParameterError

# An absolute path: its folders are left out, its last part stays. "AC/DC" is none.
FOLDERS = re.compile(r"(?<![\w/.])/(?:[^/\n;,'\"()]+/)+")
MAX_SHOWN = 200  # letters of what was sent that are repeated


class ApiError(HTTPException):
    """An error of a client, or one that passes; the framework lets it through.

    Parameters
    ----------
    status
        Of HTTP.
    code
        A word for machines: a client may depend on it.
    place, found, expected, remedy
        As those of `TwinearError`; without paths.
    nearest
        Names that may have been meant.
    headers
        Of the answer, such as Retry-After.
    """

    def __init__(
        self,
        status: int,
        code: str,
        place: str,
        found: str,
        *,
        expected: str = "",
        remedy: str = "",
        nearest: Sequence[str] | None = None,
        headers: dict[str, str] | None = None,
    ) -> None:
        message = f"{place}: {found}" if place else found
        message += f", expected {expected}" if expected else ""
        message += f"; {remedy}" if remedy else ""
        super().__init__(status, message, headers)
        self.error = Error(
            error=ErrorDetails(
                code=code,
                message=message,
                place=place,
                found=found,
                expected=expected,
                remedy=remedy,
                nearest=None if nearest is None else list(nearest),
            )
        )


def without_folders(text: str) -> str:
    """Leave the folders of absolute paths out of a text.

    Examples
    --------
    >>> without_folders("/srv/music/data/a.mp3: is silent; 'AC/DC' stays")
    "a.mp3: is silent; 'AC/DC' stays"
    """
    return FOLDERS.sub("", text)


def api_error(error: TwinearError) -> ApiError:
    """Turn an error of the library that a request caused into an answer."""
    place, found, expected, remedy = map(without_folders, error.parts)
    return ApiError(422, "unusable", place, found, expected=expected, remedy=remedy)


def answer_of(error: ApiError) -> JSONResponse:
    """Write an error as an answer."""
    content = error.error.model_dump(exclude_none=True)
    return Answer(content, error.status_code, dict(error.headers or {}))


class Answer(JSONResponse):
    """JSON that can hold what no UTF-8 text can: it is replaced."""

    def render(self, content: Any) -> bytes:
        """Write JSON."""
        import json

        text = json.dumps(content, ensure_ascii=False, separators=(",", ":"))
        return text.encode(errors="replace")


def add_handlers(app: FastAPI) -> None:
    """Answer all errors of a request in the one shape."""

    async def handle(_: Request, error: Exception) -> JSONResponse:
        if isinstance(error, TwinearError):
            error = api_error(error)
        if isinstance(error, RequestValidationError):
            return answer_of(invalid_parameters(error))
        if isinstance(error, HTTPException) and not isinstance(error, ApiError):
            error = of_http(error)
        assert isinstance(error, ApiError)  # noqa: S101  # no other is registered
        return answer_of(error)

    for kind in (HTTPException, TwinearError, RequestValidationError):
        app.add_exception_handler(kind, handle)


def of_http(error: HTTPException) -> ApiError:
    """Turn an error of the framework, such as an unknown address, into ours."""
    code = {404: "no_such_address", 405: "no_such_method"}.get(error.status_code, "refused")
    found = str(error.detail)
    return ApiError(error.status_code, code, "", found, headers=dict(error.headers or {}))


def invalid_parameters(error: RequestValidationError) -> ApiError:
    """Name the parameters that cannot be used, and why."""
    parameters = []
    for each in error.errors():
        kind, *path = each["loc"]
        name = ".".join(map(str, path)) or str(kind)
        found = str(each.get("input", ""))[:MAX_SHOWN]
        parameters.append(ParameterError(name=name, found=found, message=each["msg"]))
    names = ", ".join(dict.fromkeys(each.name for each in parameters))
    made = ApiError(422, "invalid_parameters", names, parameters[0].message)
    made.error.error.parameters = parameters
    return made

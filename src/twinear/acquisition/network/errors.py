"""How a source of clips or data can fail: what is worth another try, and what is not.

After `ServiceUnavailableError` and `InvalidContentError` a request is tried again, after the others
it is not.
"""

from twinear.base.errors import TwinearError


class SourceError(TwinearError):
    """A source cannot provide what it was asked for."""


class ServiceUnavailableError(SourceError):
    """The service does not answer for now, or asks for fewer requests."""


class ThrottledError(ServiceUnavailableError):
    """The service asks for no request for some seconds; None if it does not say how long."""

    def __init__(
        self, place: object, found: str, *, seconds: float | None = None, **parts: str
    ) -> None:
        super().__init__(place, found, **parts)
        self.seconds = seconds


class ConnectionFailedError(ServiceUnavailableError):
    """There is no connection, or it was reset."""


class RequestRefusedError(SourceError):
    """The service answers, but not to this request; asking it again is of no use."""


class UnauthorisedError(RequestRefusedError):
    """The service does not accept the key or token that came with the request."""


class NotFoundError(RequestRefusedError):
    """The service does not know what it was asked for."""


class ExpiredUrlError(SourceError):
    """The URL of a preview is no longer valid; the service has to be asked for a new one."""


class InvalidContentError(SourceError):
    """The content is not what was promised: HTML instead of JSON, not audio, or cut off."""

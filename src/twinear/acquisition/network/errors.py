"""How a request to a service fails: what may be retried, what may not."""

from twinear.base.errors import TwinearError


class PreviewError(TwinearError):
    """Something that a source could not do."""


class Away(PreviewError):
    """The service does not answer for now, or wants to be left alone: another may be asked."""


class Refused(PreviewError):
    """The service answers, but not to this request; asking it again is of no use."""


class Unauthorised(Refused):
    """The service does not take the key or token that came with the request."""


class Unknown(Refused):
    """The service does not know what was asked for."""


class Expired(PreviewError):
    """The address of a preview is no longer good; the service has to be asked for a new one."""


class Malformed(PreviewError):
    """An answer that is not what the service promises: HTML for JSON, no audio, cut off."""

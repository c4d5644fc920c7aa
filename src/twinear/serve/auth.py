"""Who may ask: everyone on this machine, or whoever has the token."""

import hmac

from starlette.requests import HTTPConnection

from twinear.serve.errors import ApiError
from twinear.serve.options import TOKEN

# Addresses that need a token, if there is one. The page itself is no secret; it asks for the token.
GUARDED = ("/api/", "/metrics")


def require_token(connection: HTTPConnection, token: str, guarded: tuple[str, ...]) -> None:
    """Check the token of a request.

    Raises
    ------
    ApiError
        401: it is missing or wrong.
    """
    path = connection.url.path
    if not token or not any(path == each or path.startswith(each) for each in guarded):
        return
    sent = bearer_of(connection)
    if is_same(sent, token):
        return
    raise ApiError(
        401,
        "token",
        "token",
        "is wrong" if sent else "is missing",
        expected="Authorization: Bearer …",
        remedy=f"send the {TOKEN} of the service",
        headers={"WWW-Authenticate": "Bearer"},
    )


def bearer_of(connection: HTTPConnection) -> str:
    """Read the token that was sent; "" if none was."""
    scheme, _, sent = connection.headers.get("authorization", "").partition(" ")
    return sent.strip() if scheme.lower() == "bearer" else ""


def is_same(sent: str, secret: str) -> bool:
    """Compare a secret in a time that does not depend on what was sent.

    Examples
    --------
    >>> is_same("secret", "secret"), is_same("", "secret")
    (True, False)
    """
    return hmac.compare_digest(sent.encode(errors="replace"), secret.encode())

"""Bodies of requests, bounded."""

from fastapi import Request

MAX_BYTES = 1_000_000


async def read_body(request: Request, most: int = MAX_BYTES) -> bytes | None:
    """Read the body of a request; None if it is larger than `most` bytes."""
    body = bytearray()
    async for piece in request.stream():
        body += piece
        if len(body) > most:
            return None
    return bytes(body)

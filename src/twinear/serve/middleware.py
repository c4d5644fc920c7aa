"""What every request goes through: an id, one snapshot, the token, its numbers and a log line."""

import logging
import re
import time
import uuid
from typing import Any

from starlette.datastructures import MutableHeaders
from starlette.requests import Request
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from twinear.serve.auth import require_token
from twinear.serve.errors import ApiError, answer_of
from twinear.serve.logs import request_id
from twinear.serve.metrics import Metrics
from twinear.serve.options import ServeOptions, is_loopback
from twinear.serve.snapshot import Snapshots
from twinear.serve.uploads import MAX_JSON, bounded, discard, too_large

log = logging.getLogger(__name__)

AUDIO_ADDRESS = re.compile(r"/api/v1/(?:clips|recordings)/([0-9a-f]+)/audio")
GIVEN_ID = re.compile(r"[\w.:-]{1,64}", re.ASCII)
METHODS = frozenset(("GET", "HEAD", "POST", "OPTIONS", "PUT", "PATCH", "DELETE"))
SECURITY = {
    "Content-Security-Policy": (
        "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; "
        "media-src 'self' blob:; connect-src 'self'; font-src 'self'; manifest-src 'self'; "
        "base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
    ),
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
    "Cross-Origin-Resource-Policy": "same-origin",
}


class EveryRequest:
    """Wraps the app."""

    def __init__(
        self, app: ASGIApp, snapshots: Snapshots, metrics: Metrics, options: ServeOptions
    ) -> None:
        self._app, self._snapshots, self._metrics = app, snapshots, metrics
        self._options = options

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        request = Request(scope)
        given = request.headers.get("x-request-id", "")
        identifier = given if GIVEN_ID.fullmatch(given) else uuid.uuid4().hex
        token = request_id.set(identifier)
        snapshot = self._snapshots.current
        scope.setdefault("state", {})["snapshot"] = snapshot
        status, begun = 0, time.perf_counter()

        async def send_with_headers(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
                headers = MutableHeaders(scope=message)
                headers["X-Request-Id"] = identifier
                if snapshot is not None:
                    headers["X-Twinear-Scorer"] = snapshot.model.scorer
                    headers["X-Twinear-Data"] = snapshot.model.data
                for name, value in SECURITY.items():
                    headers.setdefault(name, value)
            await send(message)

        self._metrics.in_progress.inc()
        try:
            try:
                self._check(request)
                limits = self._options.limits
                is_form = request.headers.get("content-type", "").startswith("multipart/")
                max_bytes = limits.max_bytes if is_form else MAX_JSON
                if int(request.headers.get("content-length") or 0) > max_bytes:
                    if "expect" not in request.headers:  # who expects waits, and sends nothing
                        await discard(receive, max_bytes, limits.receive_seconds)
                    raise too_large(max_bytes)
                limited = bounded(receive, max_bytes, limits.receive_seconds)
                await self._app(scope, limited, send_with_headers)
            except ApiError as error:
                await answer_of(error)(scope, receive, send_with_headers)
            except Exception:  # a bug: the client is told so, and the log has the traceback
                log.exception("failed")
                self._metrics.errors.inc()
                if status:  # half an answer: the connection has to be closed
                    raise
                remedy = f"see its log, {identifier}"
                bug = ApiError(500, "bug", "", "the service failed", remedy=remedy)
                await answer_of(bug)(scope, receive, send_with_headers)
        finally:
            self._metrics.in_progress.dec()
            self._count(scope, status, time.perf_counter() - begun)
            request_id.reset(token)

    def _check(self, request: Request) -> None:
        """Refuse a request without the token, or that a page of elsewhere sent by another name."""
        if is_loopback(self._options.host) and not is_loopback(_host(request)):
            found = f"'{_host(request)[:100]}' is not this machine"
            raise ApiError(421, "host", "host", found, expected="localhost")
        if not self._is_signed(request):
            require_token(request, self._options.token)

    def _is_signed(self, request: Request) -> bool:
        """Whether the address of a clip's audio carries its signature."""
        clip = AUDIO_ADDRESS.fullmatch(request.url.path)
        if clip is None or (snapshot := self._snapshots.current) is None:
            return False
        return snapshot.audio.is_signed(clip[1], request.query_params.get("key", ""))

    def _count(self, scope: Scope, status: int, seconds: float) -> None:
        route = getattr(scope.get("route"), "path", "") or "other"
        method = scope["method"] if scope["method"] in METHODS else "other"
        self._metrics.requests.labels(method, route, str(status)).inc()
        self._metrics.seconds.labels(route).observe(seconds)
        facts: dict[str, Any] = {"method": method, "route": route, "status": status}
        log.info("request", extra={"facts": facts | {"ms": round(seconds * 1000, 2)}})


def _host(request: Request) -> str:
    """Read the host that a request was sent to, without its port."""
    host = request.headers.get("host", "")
    name = host.partition("]")[0][1:] if host.startswith("[") else host.partition(":")[0]
    return name.lower()

"""The process: a socket, the app on it, and an orderly end."""

import signal
import socket
from collections.abc import Callable

import uvicorn

from twinear.base.errors import DataError, TwinearError
from twinear.serve.app import create_app
from twinear.serve.logs import log_as_json
from twinear.serve.options import TOKEN, ServeOptions, is_loopback

BACKLOG = 2048
CONNECTIONS = 1000  # at once; more are answered 503
GRACE_SECONDS = 20  # for requests in flight, when the service is told to stop
KEPT_SECONDS = 75  # an idle connection; clients, which mostly wait 5 to 60, then close it first


def serve(options: ServeOptions, port: int, say: Callable[[str], None]) -> None:
    """Serve until SIGTERM or Ctrl-C; then requests in flight are answered first.

    Parameters
    ----------
    port
        0: any that is free.
    say
        Called with the address, as soon as connections are accepted.

    Raises
    ------
    DataError
        The port is taken, or the host is none of this machine.
    TwinearError
        There is no token, and other machines could ask.
    """
    if not options.token and not is_loopback(options.host):
        raise TwinearError(
            "host",
            f"{options.host} can be reached by other machines, and there is no token",
            remedy=f"set {TOKEN} to a secret of 16 letters or more, or listen at 127.0.0.1",
        )
    listening = listen(options.host, port)
    log_as_json()
    config = uvicorn.Config(
        create_app(options),
        log_config=None,
        access_log=False,
        server_header=False,
        backlog=BACKLOG,
        limit_concurrency=CONNECTIONS,
        timeout_keep_alive=KEPT_SECONDS,
        timeout_graceful_shutdown=GRACE_SECONDS,
        ws="none",
    )
    # uvicorn raises the signal again when all is done: the end is then orderly, with status 0
    signal.signal(signal.SIGTERM, lambda *_: None)
    host = f"[{options.host}]" if ":" in options.host else options.host
    say(f"http://{host}:{listening.getsockname()[1]}")
    uvicorn.Server(config).run(sockets=[listening])


def listen(host: str, port: int) -> socket.socket:
    """Listen at an address; port 0 takes any that is free.

    Raises
    ------
    DataError
        The port is taken, or there is no such address.
    """
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    # asyncio sends at once (TCP_NODELAY) where a socket names its protocol; else every answer on a
    # connection that is kept waits 40 ms for an acknowledgement
    listening = socket.socket(family, proto=socket.IPPROTO_TCP)
    listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        listening.bind((host, port))
        listening.listen(BACKLOG)
    except (OSError, OverflowError) as error:
        listening.close()
        reason = error.strerror if isinstance(error, OSError) else "no such port"
        remedy = "choose another one with --port, or 0 for any that is free"
        raise DataError(
            f"{host}:{port}", f"cannot be listened at ({reason})", remedy=remedy
        ) from None
    return listening

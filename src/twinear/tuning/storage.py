"""Where a study is kept: a journal file, a database, or Optuna's gRPC proxy before one.

A place that does not answer is said at once, and one that goes away during the search ends it with
one line: what was found is kept, and the same command goes on. Passwords are never shown.
"""

import logging
import socket
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import optuna
import sqlalchemy
from optuna.storages import JournalStorage, RDBStorage
from optuna.storages.journal import JournalFileBackend

from twinear.base.errors import DataError, TwinearError

CONNECT_SECONDS = 5
EXPECTED = "a file, postgresql+pg8000://user:password@host/database, or grpc://host:port"


def open_storage(storage: str) -> Any:
    """Open a storage.

    Parameters
    ----------
    storage
        A file's path, a database URL as SQLAlchemy writes it, or grpc://host:port.

    Raises
    ------
    TwinearError
        It is none of these, does not answer, or lacks its driver.
    """
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    logging.getLogger("alembic").setLevel(logging.WARNING)
    if "://" not in storage:
        return _journal(Path(storage))
    _knock(storage)
    with lost_storage(storage):
        return _proxy(storage) if storage.startswith("grpc://") else _database(storage)


def _journal(path: Path) -> Any:
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        return JournalStorage(JournalFileBackend(str(path)))
    except OSError as error:
        raise DataError(
            path,
            f"cannot be used ({error.strerror or error})",
            remedy="mend the permissions, or name another file with --storage",
        ) from error
    except (ValueError, KeyError) as error:
        raise DataError(
            path,
            f"is no journal of studies ({str(error).splitlines()[0]})",
            remedy="move it away, or name another file with --storage",
        ) from error


def _knock(storage: str) -> None:
    """See that somebody listens, before a driver waits for long."""
    try:
        parts = urlsplit(storage)
        host, port = parts.hostname, parts.port or _usual_port(parts.scheme)
    except ValueError as error:
        raise TwinearError(shown(storage), f"is no address ({error})", expected=EXPECTED) from None
    if host is None or port is None:
        if parts.scheme.startswith("sqlite"):
            return
        raise TwinearError(shown(storage), "names no host and port", expected=EXPECTED)
    try:
        socket.create_connection((host, port), CONNECT_SECONDS).close()
    except OSError as error:
        raise _unreachable(storage, error.strerror or str(error)) from None


def _usual_port(scheme: str) -> int | None:
    return {"postgresql": 5432, "mysql": 3306, "mariadb": 3306}.get(scheme.split("+")[0])


def _unreachable(storage: str, reason: str) -> TwinearError:
    remedy = "start it, or mend --storage (TWINEAR_STORAGE)"
    return TwinearError(shown(storage), f"the storage cannot be reached ({reason})", remedy=remedy)


def shown(storage: str) -> str:
    """The storage without its password."""
    if "@" not in storage:
        return storage
    scheme, _, rest = storage.partition("://")
    user = rest.rsplit("@", 1)[0].split(":")[0]
    return f"{scheme}://{user}:***@{rest.rsplit('@', 1)[1]}"


def _database(storage: str) -> Any:
    try:
        seconds = {"timeout": CONNECT_SECONDS} if "+pg8000" in storage.split("://")[0] else {}
        engine = {"pool_pre_ping": True, "connect_args": seconds}
        return RDBStorage(storage, engine_kwargs=engine)
    except (ImportError, sqlalchemy.exc.ArgumentError, sqlalchemy.exc.NoSuchModuleError) as error:
        raise TwinearError(
            shown(storage),
            f"no driver for it ({str(error).splitlines()[0]})",
            expected=EXPECTED,
            remedy="pip install 'twinear[postgres]'",
        ) from None


def _proxy(storage: str) -> Any:
    parts = urlsplit(storage)
    try:
        import grpc  # noqa: F401
    except ModuleNotFoundError:
        found = "is a gRPC proxy, and grpcio is not installed"
        raise TwinearError(storage, found, remedy="pip install 'twinear[grpc]'") from None
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", optuna.exceptions.ExperimentalWarning)
        proxy = optuna.storages.GrpcStorageProxy(host=parts.hostname, port=parts.port)
    try:
        proxy.wait_server_ready(timeout=CONNECT_SECONDS)
    except ConnectionError as error:
        raise _unreachable(storage, str(error)) from None
    return proxy


def close_storage(storage: Any) -> None:
    """Let go of the connections."""
    if isinstance(storage, RDBStorage):
        storage.remove_session()
        storage.engine.dispose()
    elif isinstance(storage, optuna.storages.GrpcStorageProxy):
        storage.close()


@contextmanager
def lost_storage(storage: str) -> Iterator[None]:
    """Say in one line that the storage failed."""
    try:
        yield
    except _failures() as error:
        reason = _reason(error)
        raise _unreachable(storage, reason) from error


def _failures() -> tuple[type[BaseException], ...]:
    known: list[type[BaseException]] = [
        ConnectionError,
        sqlalchemy.exc.SQLAlchemyError,
        optuna.exceptions.StorageInternalError,
    ]
    try:
        import grpc
    except ModuleNotFoundError:
        return tuple(known)
    return (*known, grpc.RpcError)


def _reason(error: BaseException) -> str:
    details = getattr(error, "details", None)  # of gRPC
    text = str(details() if callable(details) else error.__cause__ or error)
    return (text.splitlines() or [type(error).__name__])[0][:200]

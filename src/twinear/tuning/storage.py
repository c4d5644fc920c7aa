"""The storage of a study: a journal file, a database, or Optuna's gRPC proxy for one.

A storage that does not answer is an error at once. One that is lost during the search ends the
search with one line: the trials so far are kept, and the same command goes on. Passwords are never
shown.
"""

import logging
import socket
import warnings
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import optuna
import sqlalchemy
from optuna.storages import JournalStorage, RDBStorage
from optuna.storages.journal import JournalFileBackend

from twinear.base.errors import DataError, TwinearError

CONNECT_SECONDS = 5
PORTS = {"postgresql": 5432, "mysql": 3306, "mariadb": 3306}
EXPECTED = "a file, postgresql+pg8000://user:password@host/database, or grpc://host:port"


def open_storage(storage: str) -> Any:
    """Open the file of a path, a database URL as SQLAlchemy writes it, or grpc://host:port.

    `TwinearError` if it is nothing of the kind, does not answer, or lacks its driver.
    """
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    logging.getLogger("alembic").setLevel(logging.WARNING)
    if "://" not in storage:
        return _open_journal(Path(storage))
    _check_listening(storage)
    with lost_storage(storage):
        return _open_proxy(storage) if storage.startswith("grpc://") else _open_database(storage)


def _open_journal(path: Path) -> Any:
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        return JournalStorage(JournalFileBackend(str(path)))
    except OSError as error:
        found = f"cannot be used ({error.strerror or error})"
        remedy = "fix the permissions, or name another file with --storage"
        raise DataError(path, found, remedy=remedy) from error
    except (ValueError, KeyError) as error:
        found = f"is not a journal of studies ({str(error).splitlines()[0]})"
        remedy = "move it away, or name another file with --storage"
        raise DataError(path, found, remedy=remedy) from error


def _check_listening(storage: str) -> None:
    """Connect once: the drivers themselves would wait for minutes."""
    try:
        url = urlsplit(storage)
        host, port = url.hostname, url.port or PORTS.get(url.scheme.split("+")[0])
    except ValueError as error:
        found = f"is not an address ({error})"
        raise TwinearError(shown(storage), found, expected=EXPECTED) from None
    if host is None or port is None:
        if url.scheme.startswith("sqlite"):
            return
        raise TwinearError(shown(storage), "names no host and port", expected=EXPECTED)
    try:
        socket.create_connection((host, port), CONNECT_SECONDS).close()
    except OSError as error:
        raise _unreachable(storage, error.strerror or str(error)) from None


def _unreachable(storage: str, reason: str) -> TwinearError:
    remedy = "start it, or correct --storage (TWINEAR_STORAGE)"
    return TwinearError(shown(storage), f"the storage cannot be reached ({reason})", remedy=remedy)


def shown(storage: str) -> str:
    """Hide the password of a storage.

    Examples
    --------
    >>> shown("postgresql://me:secret@host/studies")
    'postgresql://me:***@host/studies'
    >>> shown("artifacts/tuning/journal.log")
    'artifacts/tuning/journal.log'
    """
    if "@" not in storage:
        return storage
    scheme, _, rest = storage.partition("://")
    login, host = rest.rsplit("@", 1)  # a password may hold an @
    return f"{scheme}://{login.split(':')[0]}:***@{host}"


def _open_database(storage: str) -> Any:
    timeout = {"timeout": CONNECT_SECONDS} if "+pg8000" in storage.split("://")[0] else {}
    try:
        return RDBStorage(storage, engine_kwargs={"pool_pre_ping": True, "connect_args": timeout})
    except (ImportError, sqlalchemy.exc.ArgumentError, sqlalchemy.exc.NoSuchModuleError) as error:
        raise TwinearError(
            shown(storage),
            f"has no driver here ({str(error).splitlines()[0]})",
            expected=EXPECTED,
            remedy="pip install 'twinear[postgres]'",
        ) from None


def _open_proxy(storage: str) -> Any:
    url = urlsplit(storage)
    try:
        import grpc  # noqa: F401
    except ModuleNotFoundError:
        found = "is a gRPC proxy, and grpcio is not installed"
        raise TwinearError(storage, found, remedy="pip install 'twinear[grpc]'") from None
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", optuna.exceptions.ExperimentalWarning)
        proxy = optuna.storages.GrpcStorageProxy(host=url.hostname, port=url.port)
    try:
        proxy.wait_server_ready(timeout=CONNECT_SECONDS)
    except ConnectionError as error:
        raise _unreachable(storage, str(error)) from None
    return proxy


def close_storage(storage: Any) -> None:
    """Close the connections of a storage."""
    if isinstance(storage, RDBStorage):
        storage.remove_session()
        storage.engine.dispose()
    elif isinstance(storage, optuna.storages.GrpcStorageProxy):
        storage.close()


@contextmanager
def lost_storage(storage: str) -> Iterator[None]:
    """Turn a failure of the storage into one line."""
    failures: tuple[type[BaseException], ...] = (
        ConnectionError,
        sqlalchemy.exc.SQLAlchemyError,
        optuna.exceptions.StorageInternalError,
    )
    with suppress(ModuleNotFoundError):
        import grpc

        failures += (grpc.RpcError,)
    try:
        yield
    except failures as error:
        details = getattr(error, "details", None)  # of gRPC
        text = str(details() if callable(details) else error.__cause__ or error)
        reason = (text.splitlines() or [type(error).__name__])[0][:200]
        raise _unreachable(storage, reason) from error

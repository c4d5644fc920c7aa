"""Responses of services kept on disk, one file each, named by the request.

A file is whole or absent; one that cannot be read counts as absent.
"""

import hashlib
import json
import threading
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from twinear.base.files import write_text

JsonObject = dict[str, Any]


class ResponseCache:
    """A folder of responses, `service/ab/<sha256 of the request>.json`, shared by threads."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._lock = threading.Lock()  # two threads may have sent the same request

    def read(self, service: str, request: str, not_before: float) -> JsonObject | None:
        """The response to `request`, if there is one from the time `not_before` or later."""
        try:
            stored = json.loads(self._path(service, request).read_text(encoding="utf-8"))
            time, response = float(stored["at"]), stored["answer"]
        except (OSError, ValueError, LookupError, TypeError, RecursionError):
            return None
        return response if time >= not_before and isinstance(response, dict) else None

    def write(self, service: str, request: str, response: Mapping[str, Any], time: float) -> None:
        """Keep a response that came at `time`, in seconds since 1970."""
        text = json.dumps({"asked": request, "at": time, "answer": response})
        with self._lock:
            write_text(self._path(service, request), text)

    def last_request_file(self, service: str) -> Path:
        """The empty file whose modification time is that of the last request to the service."""
        return self._folder / service / "asked"

    def _path(self, service: str, request: str) -> Path:
        key = hashlib.sha256(request.encode("utf-8", "backslashreplace")).hexdigest()
        return self._folder / service / key[:2] / f"{key}.json"

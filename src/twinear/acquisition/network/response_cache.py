"""Answers of services kept on disk: one file each, named by what was asked, whole or absent.

A file that cannot be read is an answer that is not there.
"""

import hashlib
import json
import threading
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from twinear.base.files import write_text

Answer = dict[str, Any]


class Answers:
    """A folder of answers, `service/ab/<sha256 of the question>.json`, of many threads."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._lock = threading.Lock()  # two threads may have asked the same

    def read(self, service: str, asked: str, not_before: float) -> Answer | None:
        """The answer to `asked` if there is one that came at `not_before` or later."""
        try:
            kept = json.loads(self._path(service, asked).read_text(encoding="utf-8"))
            at, answer = float(kept["at"]), kept["answer"]
        except (OSError, ValueError, LookupError, TypeError, RecursionError):
            return None
        return answer if at >= not_before and isinstance(answer, dict) else None

    def write(self, service: str, asked: str, answer: Mapping[str, Any], at: float) -> None:
        """Keep an answer that came at `at`."""
        text = json.dumps({"asked": asked, "at": at, "answer": answer})
        with self._lock:
            write_text(self._path(service, asked), text)

    def mark(self, service: str) -> Path:
        """The empty file whose time says when the service was last asked."""
        return self._folder / service / "asked"

    def _path(self, service: str, asked: str) -> Path:
        name = hashlib.sha256(asked.encode("utf-8", "backslashreplace")).hexdigest()
        return self._folder / service / name[:2] / f"{name}.json"

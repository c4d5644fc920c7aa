"""The system's Firefox without a window, driven by WebDriver BiDi, which it speaks itself.

Playwright drives only a Firefox of its own, which is not installed with it.
"""

import asyncio
import re
import shutil
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from itertools import count
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:  # it is slow to import
    import aiohttp

NAMES = ("firefox-esr", "firefox")
FIREFOX = next(filter(None, map(shutil.which, NAMES)), None)
needs_firefox = pytest.mark.skipif(FIREFOX is None, reason=f"install one of {', '.join(NAMES)}")
PREFERENCES = 'user_pref("media.autoplay.default", 0);'  # plays without a click of a real mouse


class Firefox:
    """A window.

    `requests` are the addresses that were asked for, `complaints` what pages wrote in the console
    as an error and what their scripts failed with.
    """

    def __init__(self, socket: "aiohttp.ClientWebSocketResponse") -> None:
        self._socket, self._numbers = socket, count(1)
        self._window = ""
        self.requests: list[str] = []
        self.complaints: list[str] = []

    async def command(self, method: str, **params: Any) -> Any:
        """Send a command, and give its result; what happens meanwhile is kept."""
        number = next(self._numbers)
        await self._socket.send_json({"id": number, "method": method, "params": params})
        while True:
            said = await self._socket.receive_json()
            if said.get("id") == number:
                assert said["type"] == "success", said
                return said["result"]
            if said["method"] == "network.beforeRequestSent":
                self.requests.append(said["params"]["request"]["url"])
            elif said["params"]["level"] == "error":
                self.complaints.append(said["params"]["text"])

    async def open(self) -> None:
        await self.command("session.new", capabilities={})
        events = ["network.beforeRequestSent", "log.entryAdded"]
        await self.command("session.subscribe", events=events)
        (window,) = (await self.command("browsingContext.getTree"))["contexts"]
        self._window = window["context"]

    async def visit(self, url: str) -> None:
        await self.command(
            "browsingContext.navigate", context=self._window, url=url, wait="complete"
        )

    async def evaluate(self, expression: str) -> Any:
        """Give the value, a number or a text, of an expression; a promise is awaited."""
        target = {"context": self._window}
        found = await self.command(
            "script.evaluate", expression=expression, target=target, awaitPromise=True
        )
        assert found["type"] == "success", found
        return found["result"].get("value")

    async def until(self, expression: str) -> Any:
        """Wait until an expression is true, and give its value."""
        while not (value := await self.evaluate(expression)):
            await asyncio.sleep(0.1)
        return value

    async def press(self, keys: str) -> None:
        """Press keys, one after the other."""
        strokes = [{"type": kind, "value": key} for key in keys for kind in ("keyDown", "keyUp")]
        actions = [{"type": "key", "id": "keyboard", "actions": strokes}]
        await self.command("input.performActions", context=self._window, actions=actions)


@asynccontextmanager
async def opened_firefox(profile: Path) -> AsyncIterator[Firefox]:
    """Start Firefox with a profile in an empty folder, until the end of the block."""
    assert FIREFOX is not None
    (profile / "user.js").write_text(PREFERENCES, encoding="utf-8")
    import aiohttp

    process = await asyncio.create_subprocess_exec(
        *(FIREFOX, "--headless", "--no-remote", "--remote-debugging-port", "0"),
        *("--profile", str(profile)),
        env={"HOME": str(profile), "PATH": "/usr/bin:/bin"},
        stdout=asyncio.subprocess.DEVNULL,
        stderr=asyncio.subprocess.PIPE,
    )
    try:
        assert process.stderr is not None
        async for line in process.stderr:
            if found := re.search(rb"BiDi listening on (ws://\S+)", line):
                break
        else:
            raise AssertionError("Firefox ended")
        drain = asyncio.create_task(process.stderr.read())
        async with (
            aiohttp.ClientSession() as session,
            session.ws_connect(f"{found[1].decode()}/session", max_msg_size=0) as socket,
        ):
            firefox = Firefox(socket)
            await firefox.open()
            yield firefox
        process.kill()
        await drain
    finally:
        if process.returncode is None:
            process.kill()
        await process.wait()

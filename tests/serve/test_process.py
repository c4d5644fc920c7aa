"""The command as a process: it says where it is, ends in order, and survives being killed."""

import asyncio
import json
import os
import re
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import httpx
import psutil
import pytest

from tests.conftest import Project
from tests.support.serving import copy_served, plant_map
from twinear.cli.main import main
from twinear.serve.server import listen


@contextmanager
def started(project: Project, folder: Path) -> Iterator[tuple[subprocess.Popen[str], str]]:
    """A service as its users start it, of a copy of the catalogue, and its address."""
    program = str(Path(sys.executable).with_name("twinear"))
    process = subprocess.Popen(
        [program, "serve", "--port", "0", "--data", str(project.folder / "data")],
        cwd=folder,
        env={**os.environ, "TWINEAR_TOKEN": ""},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    try:
        assert process.stdout is not None
        said = process.stdout.readline()
        found = re.search(r"http://127\.0\.0\.1:\d+", said)
        assert found, said
        yield process, found[0]
    finally:
        process.kill()
        process.communicate()


def test_it_answers_logs_and_ends_in_order(finished: Project, tmp_path: Path) -> None:
    plant_map(copy_served(finished, tmp_path).catalogue)
    with (
        started(finished, tmp_path) as (process, address),
        httpx.Client(base_url=address) as client,
    ):
        client.timeout = 300
        name = client.get("/api/v1/artists").json()["artists"][0]["name"]
        query = {"queries": [{"artists": [name], "top": n} for n in range(1, 80)]}
        statuses = []

        def ask() -> None:
            answer = client.post("/api/v1/similar", json=query, headers={"X-Request-Id": "last"})
            statuses.append(answer.status_code)

        in_flight = threading.Thread(target=ask)
        in_flight.start()
        with httpx.Client(base_url=address, timeout=300) as other:
            while "in_progress 2.0" not in other.get("/metrics").text and not statuses:
                time.sleep(0.01)
        process.send_signal(signal.SIGTERM)
        in_flight.join()
        _, said = process.communicate()
        assert statuses == [200]
        assert process.returncode == 0
    logs = [json.loads(line) for line in said.splitlines() if line.startswith("{")]
    (last,) = [line for line in logs if line.get("request_id") == "last"]
    assert (last["route"], last["status"], last["level"]) == ("/api/v1/similar", 200, "info")
    assert name not in said  # what is asked about is not logged


def has_ended(process: psutil.Process) -> bool:
    """Whether a process has ended, also one whose new parent has not noticed."""
    try:
        return process.status() == psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return True


@pytest.mark.slow(reason="starts the service twice")
def test_one_that_is_killed_leaves_no_process_and_the_next_answers_alike(
    finished: Project, tmp_path: Path
) -> None:
    plant_map(copy_served(finished, tmp_path).catalogue)
    answers = []
    for _ in range(2):
        with (
            started(finished, tmp_path) as (process, address),
            httpx.Client(base_url=address) as client,
        ):
            client.timeout = 300
            name = client.get("/api/v1/artists").json()["artists"][0]["name"]
            answers.append(client.get("/api/v1/similar", params={"artist": name}).text)
            children: list[psutil.Process] = []
            while not children:  # those that decode are started in the background
                children = psutil.Process(process.pid).children(recursive=True)
            process.kill()
            process.wait()
            while not all(map(has_ended, children)):
                time.sleep(0.1)
    assert answers[0] == answers[1]


def test_a_port_that_is_taken_is_one_line(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = str(taken.getsockname()[1])
        monkeypatch.setattr(sys, "argv", ["twinear", "serve", "--port", port])
        with pytest.raises(SystemExit, match="1"):
            main()
    (line,) = capsys.readouterr().err.splitlines()
    assert line.startswith(f"error: 127.0.0.1:{port}:")
    assert "--port" in line


def test_beyond_this_machine_it_asks_for_a_token(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("TWINEAR_TOKEN", raising=False)
    monkeypatch.setattr(sys, "argv", ["twinear", "serve", "--host", "0.0.0.0"])  # noqa: S104
    with pytest.raises(SystemExit, match="1"):
        main()
    (line,) = capsys.readouterr().err.splitlines()
    assert "TWINEAR_TOKEN" in line


def test_answers_on_a_connection_that_is_kept_are_sent_at_once() -> None:
    """Without TCP_NODELAY each waits 40 ms for an acknowledgement."""

    async def option() -> int:
        found: asyncio.Future[int] = asyncio.get_running_loop().create_future()

        def connected(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            accepted = writer.get_extra_info("socket")
            found.set_result(accepted.getsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY))
            writer.close()

        listening = listen("127.0.0.1", 0)
        async with await asyncio.start_server(connected, sock=listening):
            _, writer = await asyncio.open_connection(*listening.getsockname())
            writer.close()
            return await found

    assert asyncio.run(option()) == 1

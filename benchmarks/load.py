"""Clients of a service on loopback: how many requests a second, and how long each takes."""

import asyncio
import contextlib
import os
import re
import subprocess
import sys
import time
from collections.abc import Awaitable, Callable, Iterator
from pathlib import Path

import httpx
import numpy as np
import psutil

Request = Callable[[httpx.AsyncClient], Awaitable[bool]]  # whether it was answered as it should be


@contextlib.contextmanager
def service(folder: Path, *options: str) -> Iterator[tuple[str, psutil.Process]]:
    """Start `twinear serve` in a folder; give its address and its process."""
    program = str(Path(sys.executable).with_name("twinear"))
    with subprocess.Popen(
        [program, "serve", "--port", "0", *options],
        cwd=folder,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
    ) as process:
        try:
            assert process.stdout is not None
            said = process.stdout.readline()
            address = re.search(r"http://\S+", said)
            assert address is not None, said
            with httpx.Client(base_url=address[0], timeout=60) as client:
                while client.get("/v2/health/ready").status_code != 200:
                    time.sleep(0.2)
            yield address[0], psutil.Process(process.pid)
        finally:
            process.terminate()


def all_of(process: psutil.Process) -> list[psutil.Process]:
    """The process and those that it started."""
    return [process, *process.children(recursive=True)]


def cpu_seconds(process: psutil.Process) -> float:
    """CPU time that the service and its processes have taken."""
    total = 0.0
    for each in all_of(process):
        with contextlib.suppress(psutil.NoSuchProcess):
            total += sum(each.cpu_times()[:2])
    return total


def resident_megabytes(process: psutil.Process) -> float:
    """Memory of the service and its processes; what they share counts for each."""
    total = 0.0
    for each in all_of(process):
        with contextlib.suppress(psutil.NoSuchProcess):
            total += each.memory_info().rss / 1e6
    return total


async def load(address: str, request: Request, clients: int, seconds: float) -> np.ndarray:
    """Ask with so many clients at once, each after its last answer; seconds of each answer."""
    times: list[float] = []
    until = time.perf_counter() + seconds
    limits = httpx.Limits(max_connections=clients, max_keepalive_connections=clients)

    async def ask(client: httpx.AsyncClient) -> None:
        while time.perf_counter() < until:
            started = time.perf_counter()
            assert await request(client)
            times.append(time.perf_counter() - started)

    async with httpx.AsyncClient(base_url=address, limits=limits, timeout=120) as client:
        await asyncio.gather(*(ask(client) for _ in range(clients)))
    return np.array(times)


def busy() -> str:
    """Say what else the machine does."""
    return f"load average {os.getloadavg()[0]:.1f} on {os.cpu_count()} cores before the run"

"""The service under mixed load for an hour: whether its memory is flat, and how long answers take.

Clients search, ask, explain, make playlists, play, send good, damaged and endless clips, and go
away before the answer. Every error that is not the client's fault ends the run.

    python -m benchmarks.serving_soak [--project .] [--minutes 60] [--clients 8] [--pause 0.05]

The pause is the mean of what a client waits between two actions, in seconds.

Each minute a line says how much memory is taken, how fast it has grown since the warm-up, and the
p99 of each kind of action so far: a run that is cut short has told what it measured. It cannot be
resumed, because memory grows in one process or not at all. The last line is the verdict: memory is
flat where it surely grows by less than 5 % an hour (the slope of Theil and Sen, 95 %).
"""

import argparse
import asyncio
import contextlib
import time
from collections import Counter, defaultdict
from collections.abc import Callable, Sequence
from pathlib import Path

import httpx
import numpy as np
from scipy.stats import theilslopes

from benchmarks.load import busy, resident_megabytes, service
from twinear.base.text import markdown_table

REPORT_SECONDS = 60
SAMPLE_SECONDS = 5
WARM_UP = 0.2  # of the samples, which are left out: caches fill, processes start
FEWEST = 10  # samples that a slope is taken of
SHORTEST = 0.5  # hours that tell a leak from a cache that fills
MAX_GROWTH = 0.05  # of the memory, an hour: less is flat


class Client:
    """One client, which does one thing after the other."""

    def __init__(self, address: str, clip: bytes, pause: float, seed: int) -> None:
        self.http = httpx.AsyncClient(base_url=address, timeout=300)
        self.rng = np.random.default_rng(seed)
        self.clip, self.pause, self.artists = clip, pause, [""]
        self.times: dict[str, list[float]] = defaultdict(list)
        self.statuses: Counter[tuple[str, int]] = Counter()

    async def run(self, until: float) -> None:
        answer = await self.http.get("/api/v1/artists", params={"limit": 200})
        self.artists = [artist["id"] for artist in answer.json()["artists"]]
        actions = {
            self.search: 0.3,
            self.similar: 0.3,
            self.play: 0.1,
            self.playlist: 0.08,
            self.explain: 0.04,
            self.send: 0.06,
            self.send_damaged: 0.06,
            self.go_away: 0.06,
        }
        named = list(actions)
        while time.monotonic() < until:
            action = named[self.rng.choice(len(named), p=list(actions.values()))]
            began = time.perf_counter()
            status = await action()
            self.times[action.__name__].append(time.perf_counter() - began)
            self.statuses[action.__name__, status] += 1
            assert status < 500, (action.__name__, status)
            await asyncio.sleep(self.rng.exponential(self.pause))
        await self.http.aclose()

    def artist(self) -> str:
        return str(self.rng.choice(self.artists))

    async def get(self, path: str, **params: object) -> httpx.Response:
        return await self.http.get(path, params={k: str(v) for k, v in params.items()})

    async def search(self) -> int:
        typed = "".join(self.rng.choice(list("abdeklmnorstuv"), self.rng.integers(1, 4)))
        return (await self.get("/api/v1/artists", q=typed)).status_code

    async def similar(self) -> int:
        top = int(self.rng.integers(1, 40))
        return (await self.get("/api/v1/similar", artist=self.artist(), top=top)).status_code

    async def play(self) -> int:
        answer = await self.get(f"/api/v1/artists/{self.artist()}")
        audio = answer.json()["clips"][0]["audio"]
        headers = {"Range": f"bytes={self.rng.integers(10_000)}-"}
        return (await self.http.get(audio, headers=headers)).status_code

    async def playlist(self) -> int:
        ends = {"from": self.artist(), "to": self.artist(), "length": 10}
        return (await self.get("/api/v1/playlist", **ends)).status_code

    async def explain(self) -> int:
        return (
            await self.get("/api/v1/explanation", of=self.artist(), like=self.artist())
        ).status_code

    async def send(self, content: bytes | None = None) -> int:
        files = {"clip": ("a.mp3", self.clip if content is None else content)}
        return (await self.http.post("/api/v1/similar/clips", files=files)).status_code

    async def send_damaged(self) -> int:
        damaged = bytearray(self.clip[: int(self.rng.integers(1, len(self.clip)))])
        for _ in range(self.rng.integers(1, 20)):
            at = int(self.rng.integers(len(damaged)))
            damaged[at : at + 300] = self.rng.bytes(min(300, len(damaged) - at))
        return await self.send(bytes(damaged))

    async def go_away(self) -> int:
        """Send a clip, or ask, and close the connection before the answer."""
        with contextlib.suppress(httpx.TimeoutException):
            patience = float(self.rng.uniform(0.001, 0.1))
            files = {"clip": ("a.mp3", self.clip)}
            await self.http.post("/api/v1/similar/clips", files=files, timeout=patience)
        return 0


async def soak(
    address: str,
    clip: bytes,
    clients: int,
    pause: float,
    seconds: float,
    watch: Callable[[Sequence[Client]], None],
) -> list[Client]:
    until = time.monotonic() + seconds
    made = [Client(address, clip, pause, seed) for seed in range(clients)]

    async def report() -> None:
        while time.monotonic() < until:
            watch(made)
            await asyncio.sleep(SAMPLE_SECONDS)

    await asyncio.gather(report(), *(client.run(until) for client in made))
    return made


def growth(hours: Sequence[float], megabytes: Sequence[float]) -> tuple[str, str]:
    """Say how fast memory grows after the warm-up, and what that means; both "" too early.

    Parameters
    ----------
    hours, megabytes
        (samples,), since the start.
    """
    first = round(WARM_UP * len(hours))
    if len(hours) - first < FEWEST:
        return "", ""
    slope, _, low, high = theilslopes(megabytes[first:], hours[first:], 0.95)
    most = MAX_GROWTH * float(np.median(megabytes[first:]))
    verdict = "memory is flat" if high < most else "memory grows"
    if low < most <= high or hours[-1] < SHORTEST:
        verdict = "not decided: run longer"
    return (
        f"{slope:+.0f} MB/h [{low:+.0f}, {high:+.0f}]",
        f"{verdict} (flat: below {most:.0f} MB/h)",
    )


def times_of(made: Sequence[Client]) -> dict[str, list[float]]:
    """Join the seconds of all clients by action."""
    joined = defaultdict[str, list[float]](list)
    for client in made:
        for action, seconds in client.times.items():
            joined[action] += seconds
    return dict(sorted(joined.items()))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--project", type=Path, default=Path())
    parser.add_argument("--minutes", type=float, default=60)
    parser.add_argument("--clients", type=int, default=8)
    parser.add_argument("--pause", type=float, default=0.05)
    chosen = parser.parse_args()
    project = chosen.project.resolve()
    clip = sorted((project / "data/clips").glob("*.mp3"))[0].read_bytes()
    print(busy(), flush=True)
    with service(project) as (address, process):
        began, printed = time.monotonic(), -float("inf")
        hours, own, whole = list[float](), list[float](), list[float]()

        def watch(made: Sequence[Client]) -> None:
            nonlocal printed
            now = time.monotonic()
            hours.append((now - began) / 3600)
            own.append(process.memory_info().rss / 1e6)
            whole.append(resident_megabytes(process))
            if now < printed + REPORT_SECONDS:
                return
            printed = now
            p99 = ", ".join(
                f"{action} {1000 * np.quantile(seconds, 0.99):.0f}"
                for action, seconds in times_of(made).items()
            )
            print(
                f"minute {60 * hours[-1]:.1f}: {own[-1]:.0f} MB {growth(hours, own)[0]}, with its "
                f"processes {whole[-1]:.0f} MB {growth(hours, whole)[0]}, {process.num_fds()} open "
                f"files, {process.num_threads()} threads; p99 in ms: {p99}",
                flush=True,
            )

        lasting = 60 * chosen.minutes
        run = soak(address, clip, chosen.clients, chosen.pause, lasting, watch)
        made = asyncio.run(run)
        printed = -float("inf")
        watch(made)
    rows = []
    for action, times in times_of(made).items():
        statuses: Counter[int] = Counter()
        for client in made:
            for (name, status), count in client.statuses.items():
                statuses[status] += count if name == action else 0
        answers = ", ".join(f"{n} of {status}" for status, n in sorted(statuses.items()) if n)
        p50, p99 = 1000 * np.quantile(times, [0.5, 0.99])
        rows.append([action, f"{p50:.0f}", f"{p99:.0f}", answers])
    print(markdown_table(["", "p50, ms", "p99, ms", "answers"], rows))
    for name, megabytes in (("the service", own), ("with its processes", whole)):
        rate, verdict = growth(hours, megabytes)
        print(f"{name}: {rate or 'too short to tell'}; {verdict}")


if __name__ == "__main__":
    main()

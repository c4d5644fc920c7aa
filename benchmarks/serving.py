"""How fast the service answers: a known artist, and a clip that is sent.

Clients on loopback ask about random known artists, each after its last answer: in one process
beside the service, so that the two share the machine. The catalogues are those that
`benchmarks.catalogue` plants and builds; a clip is sent to the service of a finished project, whose
scorer is real.

    python -m benchmarks.serving --catalogues FOLDER [--project .] [--artists 1000 100000]

FOLDER/N/catalogue holds a catalogue of N artists; one that is missing is planted and built.
"""

import argparse
import asyncio
import json
import subprocess
import sys
import time
from pathlib import Path
from tempfile import TemporaryDirectory

import httpx
import numpy as np

from benchmarks.load import busy, cpu_seconds, load, resident_megabytes, service
from twinear.base.text import markdown_table

CLIENTS = (1, 16, 64)
UPLOADS = 20


def build(folder: Path, n_artists: int) -> Path:
    """Plant and build a catalogue, if it is not there."""
    if not (folder / "catalogue").exists():
        folder.mkdir(parents=True, exist_ok=True)
        for step in ("plant", "build"):
            command = [sys.executable, "-m", "benchmarks.catalogue", "--step", step]
            options = ["--artists", str(n_artists), "--folder", str(folder), "--questions", "1"]
            subprocess.run([*command, *options], check=True, stdout=subprocess.DEVNULL)
    return folder / "catalogue"


def measure_artists(folder: Path, n_artists: int, seconds: float) -> list[list[str]]:
    """Ask about known artists."""
    from tests.support.scorers import small_scorer

    from twinear.base.checksums import write_checksums
    from twinear.base.files import sha256

    built = build(folder, n_artists)
    scorer = built / "scorer.safetensors"  # a planted catalogue has none; it is not asked for
    if scorer.stat().st_size < 1000:
        small_scorer().write(scorer)
        facts = json.loads((built / "catalogue.json").read_text(encoding="utf-8"))
        facts["scorer"] = sha256(scorer)
        facts["files"]["scorer.safetensors"] = scorer.stat().st_size
        (built / "catalogue.json").write_text(json.dumps(facts), encoding="utf-8")
        write_checksums(built)
    rng = np.random.default_rng(0)
    rows = []
    with TemporaryDirectory() as work, service(Path(work), "--catalogue", str(built)) as started:
        address, process = started

        async def ask(client: httpx.AsyncClient) -> bool:
            artist = f"id-{rng.integers(n_artists):07}"
            answer = await client.get("/api/v1/similar", params={"artist": artist})
            return answer.status_code == 200 and len(answer.json()["similar"]) == 10

        asyncio.run(load(address, ask, 4, 3))
        for clients in CLIENTS:
            before, began = cpu_seconds(process), time.perf_counter()
            times = asyncio.run(load(address, ask, clients, seconds))
            took = time.perf_counter() - began
            cpu = (cpu_seconds(process) - before) / len(times)
            p50, p99 = np.quantile(times, [0.5, 0.99])
            row = [f"{n_artists:,}", clients, f"{1000 * p50:.1f}", f"{1000 * p99:.1f}"]
            memory = resident_megabytes(process)
            row += [f"{len(times) / took:.0f}", f"{1000 * cpu:.1f}", f"{memory:.0f}"]
            rows.append([str(each) for each in row])
    return rows


def measure_uploads(project: Path) -> str:
    """Send a clip of 30 s of mp3 to ten names; tell the encoder's CPU time apart."""
    clip = sorted((project / "data/clips").glob("*.mp3"))[0]
    content = clip.read_bytes()
    with service(project) as (address, process), httpx.Client(base_url=address) as client:
        client.timeout = httpx.Timeout(120)

        def send() -> None:
            answer = client.post("/api/v1/similar/clips", files={"clip": ("a.mp3", content)})
            assert len(answer.json()["similar"]) == 10

        for _ in range(4):  # each process once, and more
            send()
        time.sleep(20)  # the map of the catalogue is computed at first
        before, times = cpu_seconds(process), []
        for _ in range(UPLOADS):
            began = time.perf_counter()
            send()
            times.append(time.perf_counter() - began)
        cpu = (cpu_seconds(process) - before) / UPLOADS
    encoder = encoder_seconds(project, clip)
    return (
        f"upload of {clip.suffix[1:]}, 30 s: {cpu:.3f} CPU s, of which the pre-trained encoder "
        f"{encoder:.3f}; p50 {1000 * np.median(times):.0f} ms"
    )


def encoder_seconds(project: Path, clip: Path) -> float:
    """CPU time of the pre-trained encoder for one clip; 0 for a scorer without one."""
    from twinear.clips.waveform import decode
    from twinear.inference import compute_embedding, load_scorer

    scorer = load_scorer(project / "artifacts/catalogue/scorer.safetensors")
    waveform = decode(clip)
    compute_embedding(scorer, waveform)
    before = time.process_time()
    for _ in range(3):
        compute_embedding(scorer, waveform)
    return (time.process_time() - before) / 3


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--catalogues", type=Path, required=True)
    parser.add_argument("--project", type=Path, default=Path())
    parser.add_argument("--artists", type=int, nargs="*", default=[1000, 100_000])
    parser.add_argument("--seconds", type=float, default=15, help="of each number of clients")
    chosen = parser.parse_args()
    print(busy(), flush=True)
    rows = []
    for n_artists in chosen.artists:
        folder = chosen.catalogues.resolve() / str(n_artists)
        rows += measure_artists(folder, n_artists, chosen.seconds)
    header = ["artists", "clients", "p50, ms", "p99, ms", "requests/s", "CPU ms each", "MB"]
    print(markdown_table(header, rows), flush=True)
    print(measure_uploads(chosen.project.resolve()))


if __name__ == "__main__":
    main()

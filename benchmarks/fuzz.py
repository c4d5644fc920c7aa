"""Fuzz the decoding of clips for some minutes: every damaged clip is used or set aside.

Valid files are mutated (bits flipped, numbers overwritten, spans cut out, doubled or replaced by
spans of another file, ends cut off) and go through what the pipeline does with a clip, in a worker
process with limited memory and time. Any other outcome is a finding, and its file is kept: an
exception, a crash inside the codec library (in the pipeline it costs a worker and sets the clip
aside), a hang, more memory than the limit, values out of range.

    python -m benchmarks.fuzz [--minutes 3] [--seed 1] [--keep FOLDER]
"""

import argparse
import contextlib
import multiprocessing
import resource
import shutil
import signal
import tempfile
import time
import traceback
from collections import Counter
from collections.abc import Callable
from functools import partial
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

import numpy as np
from tests.support.audio import CODECS, music, write_clip

from twinear.base.params import read_params
from twinear.clips import clips
from twinear.clips.clips import ClipsParams, Fault
from twinear.clips.waveform import load_waveform
from twinear.spectrograms.front_end import SpectrogramsParams, log_mel, mfcc_statistics

LIMIT_BYTES = 2**30  # of address space, above what an idle worker has
LIMIT_SECONDS = 20
MORE_KINDS = {  # suffix -> codec, beside those of the tests
    ".aac": "aac",
    ".aiff": "pcm_s24be",
    ".caf": "alac",
    ".mka": "aac",
    ".w64": "pcm_f32le",
}
NUMBERS = [0, 1, 0x7F, 0x80, 0xFF, 0x7FFF, 0x8000, 0xFFFF, 0x7FFFFFFF, 0x80000000, 0xFFFFFFFF]


def write_seeds(folder: Path) -> list[Path]:
    """Small valid files: every kind in mono and stereo, some sample rates and widths."""
    seeds = []
    for suffix, codec in (CODECS | MORE_KINDS).items():
        for channels in (1, 2) if codec != "vorbis" else (2,):  # its encoder is stereo only
            y = np.stack([music(1.5, 48000, seed) for seed in range(channels)])
            path = folder / f"{channels}{suffix}"
            seeds.append(write_clip(path, y, 48000, codec))
    seeds.append(write_clip(folder / "5.1.flac", np.stack([music(1.2, 8000)] * 6), 8000))
    seeds.append(write_clip(folder / "wide.wav", music(1.2, 96000), 96000, "pcm_f64le"))
    eight = np.stack([music(1.2, 48000)] * 8)
    seeds.append(write_clip(folder / "7.1.m4a", eight, 48000))
    seeds.append(write_clip(folder / "alac.m4a", music(1.2), codec="alac"))
    return seeds


def mutate(data: bytes, other: bytes, rng: np.random.Generator) -> bytes:
    """One to eight mutations; half of them in the first kilobyte, where the headers are."""
    changed = bytearray(data)
    for _ in range(rng.integers(1, 9)):
        end = len(changed) if rng.random() < 0.5 else min(1024, len(changed))
        at = int(rng.integers(max(1, end)))
        span = int(2 ** rng.uniform(0, 12))
        match rng.integers(7):
            case 0:
                changed[at : at + 1] = bytes([rng.integers(256)])
            case 1:
                order = "little" if rng.random() < 0.5 else "big"
                number = int(rng.choice(NUMBERS)).to_bytes(4, order)  # type: ignore[arg-type]
                width = int(rng.choice([1, 2, 4]))
                changed[at : at + width] = number[-width:] if order == "big" else number[:width]
            case 2:
                del changed[at : at + span]
            case 3:
                changed[at:at] = changed[at : at + span]
            case 4:
                start = int(rng.integers(len(other)))
                changed[at : at + span] = other[start : start + span]
            case 5:
                changed[at : at + span] = rng.bytes(span)
            case _ if rng.random() < 0.2:
                del changed[at:]
    return bytes(changed)


def try_clip(path: Path, params: tuple[ClipsParams, SpectrogramsParams]) -> str:
    """The outcome for a clip: "used", "set aside: why", or "FINDING: what"."""
    try:
        decoded = clips.examine_clip(path, params=params[0])
        if isinstance(decoded, Fault):
            found = decoded.found.removeprefix(f"{path}: ").split(";")[0]
            out_of_memory = "Cannot allocate memory" in found
            why = (
                decoded.reason if decoded.reason == found else f"{decoded.reason}, {_plain(found)}"
            )
            return f"FINDING: {found}" if out_of_memory else f"set aside: {why}"
        y = load_waveform(path, params[1].sr, params[1].max_seconds)
        values, (mean, cov) = log_mel(y, params[1]), mfcc_statistics(y, params[1])
    except Exception as error:
        place = traceback.extract_tb(error.__traceback__)[-1]
        return f"FINDING: {type(error).__name__}: {error} ({Path(place.filename).name})"
    fine = values.min() >= 0 and values.max() <= 1 and np.isfinite(mean).all()
    return "used" if fine and np.isfinite(cov).all() else "FINDING: values out of range"


def _plain(found: str) -> str:
    """Without its digits, so that equal findings are counted together."""
    return "".join(character for character in found if not character.isdigit())


def work(pipe: Connection, attempt: Callable[[Any], str], limit_bytes: int) -> None:
    """Answer cases with outcomes, within the limit of memory."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    size = int(Path("/proc/self/statm").read_text().split()[0]) * resource.getpagesize()
    resource.setrlimit(resource.RLIMIT_AS, (size + limit_bytes, size + limit_bytes))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    with contextlib.suppress(EOFError):  # the end of the run
        while True:
            pipe.send(attempt(pipe.recv()))


class Worker:
    """A process that tries cases; it may die or hang, and is then replaced."""

    def __init__(self, attempt: Callable[[Any], str], limit_bytes: int = LIMIT_BYTES) -> None:
        self._arguments = (attempt, limit_bytes)
        self._start()

    def _start(self) -> None:
        context = multiprocessing.get_context("forkserver")
        self._pipe, theirs = context.Pipe()
        arguments = (theirs, *self._arguments)
        self._process = context.Process(target=work, args=arguments, daemon=True)
        self._process.start()
        theirs.close()
        self._seconds = 6 * LIMIT_SECONDS  # the first case waits for the imports

    def restart(self) -> None:
        """Go on in a new process."""
        self._process.kill()
        self._start()

    def attempt(self, case: Any) -> str:
        """The outcome for a case."""
        self._pipe.send(case)
        seconds, self._seconds = self._seconds, LIMIT_SECONDS
        if not self._pipe.poll(seconds):
            self.restart()
            return f"FINDING: took more than {seconds} s"
        try:
            outcome: str = self._pipe.recv()
            return outcome
        except EOFError:
            self._process.join()
            status = self._process.exitcode
            self._start()
            return f"FINDING: killed its process (exit status {status})"


def fuzz(seeds: list[Path], scratch: Path, keep: Path, minutes: float, seed: int) -> Counter[str]:
    """Count the outcomes; keep the files of the findings."""
    params = (read_params("clips", ClipsParams), read_params("spectrograms", SpectrogramsParams))
    params = (params[0].model_copy(update={"min_seconds": 0.2}), params[1])
    rng, outcomes = np.random.default_rng(seed), Counter[str]()
    contents = {path: path.read_bytes() for path in seeds}
    worker = Worker(partial(try_clip, params=params))
    for path in seeds:
        outcome = worker.attempt(path)
        assert outcome == "used", f"{path.name}: {outcome}"
    until = time.monotonic() + 60 * minutes
    while time.monotonic() < until:
        path, other = (seeds[i] for i in rng.integers(len(seeds), size=2))
        case = scratch / f"case{path.suffix}"
        case.write_bytes(mutate(contents[path], contents[other], rng))
        outcome = worker.attempt(case)
        outcomes[outcome] += 1
        if outcome.startswith("FINDING"):
            keep.mkdir(parents=True, exist_ok=True)
            kept = keep / f"{outcomes.total()}-{path.name}"
            shutil.copyfile(case, kept)
            print(f"{kept}: {outcome}", flush=True)
    return outcomes


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--minutes", type=float, default=3)
    parser.add_argument("--seed", type=int, default=1, help="another seed, other damage")
    parser.add_argument("--keep", type=Path, default=Path(tempfile.gettempdir()) / "twinear-fuzz")
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        seeds = write_seeds(Path(folder) / "seeds")
        outcomes = fuzz(seeds, Path(folder), arguments.keep, arguments.minutes, arguments.seed)
    findings = sum(n for outcome, n in outcomes.items() if outcome.startswith("FINDING"))
    print(f"{outcomes.total()} damaged clips of {len(seeds)} kinds, {findings} findings")
    for outcome, n in outcomes.most_common():
        print(f"{n:>8}  {outcome}")
    raise SystemExit(1 if findings else 0)


if __name__ == "__main__":
    main()

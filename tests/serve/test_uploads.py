"""Clips that are sent: every kind of fault has its answer, and nothing of them is left."""

import io
import re
import socket
import struct
import tempfile
import threading
import time
import wave
from collections.abc import Iterator
from dataclasses import replace
from itertools import chain
from pathlib import Path

import av
import httpx
import numpy as np
import psutil
import pytest

from tests.conftest import Project
from tests.support.audio import music, write_clip
from tests.support.serving import Service, copy_served, replace_catalogue, running, with_scorer
from twinear.catalogue.catalogue import SCORER
from twinear.model.scorer import Scorer
from twinear.serve.options import UploadLimits
from twinear.serve.uploads import FOLDER, LOCK, Uploads

PATH = "/api/v1/similar/clips"


@pytest.fixture(scope="module")
def mp3(tmp_path_factory: pytest.TempPathFactory) -> bytes:
    return write_clip(tmp_path_factory.mktemp("clip") / "a.mp3", music(8)).read_bytes()


def wav(samples: bytes, sr: int = 22050) -> bytes:
    file = io.BytesIO()
    with wave.open(file, "wb") as written:
        written.setparams((1, 2, sr, 0, "NONE", ""))
        written.writeframes(samples)
    return file.getvalue()


def broken(mp3: bytes) -> dict[str, tuple[str, bytes, int, str]]:
    """Name of a fault -> name of a file, its content, the status and a word of the error."""
    silence = wav(bytes(2 * 22050 * 8))
    riff = bytearray(wav(np.zeros(22050, np.int16).tobytes()))
    riff[24:28] = struct.pack("<I", 4_000_000_000)  # Hz
    floats = write_wav_of_floats(np.full(22050 * 8, np.nan, np.float32))
    concat = b"ffconcat version 1.0\nfile '/etc/passwd'\n"
    return {
        "nothing": ("a.mp3", b"", 422, "empty"),
        "a text": ("a.mp3", b"These are only words.\n" * 500, 415, "not audio"),
        "a picture": ("a.wav", PNG, 415, "audio"),
        "a list of files": ("a.mp3", concat, 415, "not audio"),
        "a playlist": ("a.m3u8", b"#EXTM3U\n#EXTINF:3,\nfile:///etc/passwd\n", 415, "not audio"),
        "an archive": ("a.flac", b"PK\x03\x04" + bytes(5000), 415, "not audio"),
        "noise": ("a.ogg", np.random.default_rng(0).bytes(50_000), 415, "not audio"),
        "silence": ("a.wav", silence, 422, "silent"),
        "a second": ("a.mp3", cut(mp3, 8), 422, "short"),
        "a header that claims too much": ("a.wav", bytes(riff), 415, "not audio"),
        "no numbers": ("a.wav", floats, 422, "not numbers"),
        "a header alone": ("a.mp3", mp3[:300], 422, ""),
    }


PNG = (
    b"\x89PNG\r\n\x1a\n\x00\x00\x00\rIHDR\x00\x00\x00\x01\x00\x00\x00\x01\x08\x06\x00\x00\x00\x1f"
    b"\x15\xc4\x89\x00\x00\x00\rIDATx\x9cc\xf8\xff\xff?\x00\x05\xfe\x02\xfe\xa75\x81\x84"
    b"\x00\x00\x00\x00IEND\xaeB`\x82"
)


def cut(content: bytes, parts: int) -> bytes:
    return content[: len(content) // parts]


def write_wav_of_floats(y: np.ndarray) -> bytes:
    form = struct.pack("<HHIIHH", 3, 1, 22050, 22050 * 4, 4, 32)
    data = y.astype("<f4").tobytes()
    body = b"WAVEfmt " + struct.pack("<I", len(form)) + form + b"data"
    body += struct.pack("<I", len(data)) + data
    return b"RIFF" + struct.pack("<I", len(body)) + body


@pytest.mark.parametrize("fault", list(broken(b"\xff\xfb")))
def test_a_broken_clip_is_refused_with_its_reason(service: Service, mp3: bytes, fault: str) -> None:
    name, content, status, word = broken(mp3)[fault]
    answer = service.client.post(PATH, files={"clip": (name, content)})
    if fault == "a header alone":  # what decodes of it, if anything, is too short
        assert answer.status_code in (415, 422)
        return
    assert answer.status_code == status, answer.text
    error = answer.json()["error"]
    assert word in error["message"]
    assert error["place"] == name


def test_a_clip_that_is_cut_off_or_damaged_is_heard_as_far_as_it_decodes(
    service: Service, mp3: bytes
) -> None:
    damaged = bytearray(mp3)
    damaged[20_000:21_000] = np.random.default_rng(0).bytes(1000)
    for content in (mp3[: 7 * len(mp3) // 8], bytes(damaged)):
        answer = service.json("POST", PATH, files={"clip": ("a.mp3", content)})
        assert len(answer["similar"]) == 10


def test_what_a_clip_is_called_does_not_matter(service: Service, mp3: bytes) -> None:
    expected = service.json("POST", PATH, files={"clip": ("a.mp3", mp3)})["similar"]
    for name, shown in (
        ("../../etc/passwd", "passwd"),
        ("C:\\music\\a.txt", "a.txt"),
        ("Bj\u00f6rk \u202e.mp3", None),
        ("x" * 3000, None),
        ("..", "clip 1"),
    ):
        answer = service.json("POST", PATH, files={"clip": (name, mp3)})
        assert answer["similar"] == expected
        (uploaded,) = answer["uploaded"]
        assert len(uploaded["name"]) <= 200
        assert shown in (None, uploaded["name"])


def test_the_form_must_hold_clips(service: Service, mp3: bytes) -> None:
    for request in (
        {"files": {"song": ("a.mp3", mp3)}},
        {"json": {"clip": "a.mp3"}},
        {"data": {"clip": "a.mp3"}},
    ):
        error = service.error(422, "POST", PATH, **request)
        assert error["code"] == "invalid_parameters"
        assert error["parameters"][0]["name"].startswith("clip")
    boundary = {"Content-Type": "multipart/form-data; boundary=x"}
    answer = service.client.post(PATH, content=b"--x\r\nnonsense", headers=boundary)
    assert answer.status_code in (400, 422)


def test_one_that_cannot_be_used_is_named_among_several(service: Service, mp3: bytes) -> None:
    files = [("clip", ("good.mp3", mp3)), ("clip", ("bad.mp3", b"words " * 1000))]
    error = service.error(415, "POST", PATH, files=files)
    assert error["place"] == "bad.mp3"


SMALL = UploadLimits(
    max_bytes=10_000_000,
    max_clips=2,
    max_seconds=20.0,
    at_once=1,
    receive_seconds=8.0,
    cpu_seconds=1,
    wall_seconds=60.0,
    memory_bytes=150_000_000,
)


@pytest.fixture(scope="module")
def strict(finished: Project, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Service]:
    """A service that allows little, with one process, and decodes five minutes of a clip."""
    options = copy_served(finished, tmp_path_factory.mktemp("strict"))
    scorer = Scorer.read(options.catalogue / SCORER)
    patient = options.catalogue.parent / SCORER
    front = scorer.spectrograms.model_copy(update={"max_seconds": 300.0})
    replace(scorer, spectrograms=front).write(patient)
    replace_catalogue(options.catalogue, with_scorer(patient))
    with running(replace(options, limits=SMALL)) as strict:
        yield strict


def test_too_many_bytes_are_refused_whether_announced_or_not(strict: Service) -> None:
    large = b"\xff\xfb" * 6_000_000
    error = strict.error(413, "POST", PATH, files={"clip": ("a.mp3", large)})
    assert error["code"] == "too_large"
    assert "10 MB" in error["message"]

    def chunks() -> Iterator[bytes]:
        yield b'--x\r\nContent-Disposition: form-data; name="clip"; filename="a.mp3"\r\n\r\n'
        for _ in range(120):
            yield large[:100_000]

    headers = {"Content-Type": "multipart/form-data; boundary=x"}
    error = strict.error(413, "POST", PATH, content=chunks(), headers=headers)
    assert error["code"] == "too_large"
    words = {"queries": [{"q": "x" * 499}] * 5000}
    assert strict.error(413, "POST", "/api/v1/artists", json=words)["code"] == "too_large"


def test_too_many_and_too_long_clips_are_refused(
    strict: Service, mp3: bytes, tmp_path: Path
) -> None:
    files = [("clip", (f"{n}.mp3", mp3)) for n in range(3)]
    assert strict.error(422, "POST", PATH, files=files)["expected"] == "at most 2"
    long = write_clip(tmp_path / "long.mp3", music(25), bit_rate=32_000).read_bytes()
    error = strict.error(422, "POST", PATH, files={"clip": ("long.mp3", long)})
    assert "25 s" in error["found"]


def test_a_second_upload_at_once_is_refused_and_a_slow_one_ends(
    strict: Service, mp3: bytes
) -> None:
    head = (
        f"POST {PATH} HTTP/1.1\r\nHost: localhost\r\nContent-Length: 100000\r\n"
        "Content-Type: multipart/form-data; boundary=x\r\n\r\n--x\r\n"
    )
    with socket.create_connection(("127.0.0.1", int(strict.address.rpartition(":")[2]))) as slow:
        slow.sendall(head.encode())
        while read_in_progress(strict) < 2:  # the slow one, and the question for the number
            time.sleep(0.05)
        refused = strict.client.post(PATH, files={"clip": ("a.mp3", mp3)})
        assert refused.status_code == 429
        assert int(refused.headers["retry-after"]) > 0
        said = b"".join(iter(lambda: slow.recv(4096), b""))  # until the service closes it
        assert said.startswith(b"HTTP/1.1 408")
        assert b"too_slow" in said
    strict.json("POST", PATH, files={"clip": ("a.mp3", mp3)})


def decoding_process(service: Service) -> psutil.Process:
    (process,) = service.app.state.processes._all
    return psutil.Process(process._process.pid)


def test_a_decoder_that_crashes_is_replaced(strict: Service, mp3: bytes) -> None:
    strict.json("POST", PATH, files={"clip": ("a.mp3", mp3)})
    while True:  # until it is killed after it got its job, and not before
        first = decoding_process(strict)
        first.suspend()
        threading.Timer(0.2, first.kill).start()
        answer = strict.client.post(PATH, files={"clip": ("a.mp3", mp3)})
        if not answer.is_success:
            break
    assert answer.status_code == 422
    assert "crashes" in answer.json()["error"]["message"]
    assert temporary_files(strict) == []
    strict.json("POST", PATH, files={"clip": ("a.mp3", mp3)})
    assert decoding_process(strict).pid != first.pid


def test_the_limits_of_a_decoding_process_are_those_of_its_job(strict: Service, mp3: bytes) -> None:
    strict.json("POST", PATH, files={"clip": ("a.mp3", mp3)})
    # the kernel's limits are on the process, and grow with each job by no more than a job may take
    limits = {name: getattr(psutil, f"RLIMIT_{name}") for name in ("CPU", "AS", "CORE")}
    process = decoding_process(strict)
    soft = {name: process.rlimit(limit)[0] for name, limit in limits.items()}
    used = sum(process.cpu_times()[:2])
    assert used < soft["CPU"] <= used + SMALL.cpu_seconds + 1
    assert 0 < soft["AS"] <= process.memory_info().vms + SMALL.memory_bytes
    assert soft["CORE"] == 0


def write_long_flac(n_repeats: int, frame_size: int) -> bytes:
    """Repeat some frames of silence, which takes no time, however long the file is."""
    file, frames = io.BytesIO(), b""
    with av.open(file, "w", format="flac") as container:
        options = {"frame_size": str(frame_size)}
        stream = container.add_stream("flac", rate=384_000, layout="mono", options=options)
        silence = np.zeros((1, 2 * frame_size), np.int16)
        frame = av.AudioFrame.from_ndarray(silence, layout="mono")
        frame.sample_rate = stream.rate
        for packet in chain(stream.encode(frame), stream.encode(None)):
            frames += bytes(packet)
            container.mux(packet)
    return file.getvalue() + frames * n_repeats


# name of a file -> how often frames of so many samples are repeated at 384 kHz, what the error says
TOO_MUCH = {
    "long.flac": (1200, 65_000, "memory|crashes"),  # 44 kB, decoded 460 MB; a library may abort
    "packets.flac": (200_000, 16, "computing"),  # each takes a step of Python
}


@pytest.mark.parametrize("name", TOO_MUCH)
def test_a_clip_that_takes_too_much_time_or_memory_is_refused_and_leaves_nothing(
    strict: Service, mp3: bytes, name: str
) -> None:
    n_repeats, frame_size, words = TOO_MUCH[name]
    content = write_long_flac(n_repeats, frame_size)
    strict.json("POST", PATH, files={"clip": ("a.mp3", mp3)})
    process = decoding_process(strict)
    error = strict.error(422, "POST", PATH, files={"clip": (name, content)})
    assert error["code"] == "too_large"
    assert re.search(words, error["message"])
    process.wait(60)
    assert temporary_files(strict) == []
    strict.json("POST", PATH, files={"clip": ("a.mp3", mp3)})
    assert decoding_process(strict).pid != process.pid


def temporary_files(service: Service) -> list[Path]:
    folder: Path = service.app.state.uploads._folder
    return [path for path in folder.iterdir() if path.name != LOCK]


def test_no_file_is_left_after_good_bad_and_cancelled_uploads(service: Service, mp3: bytes) -> None:
    service.json("POST", PATH, files={"clip": ("a.mp3", mp3)})
    service.client.post(PATH, files={"clip": ("a.mp3", b"words")})
    with (
        httpx.Client(base_url=service.address) as client,
        pytest.raises(httpx.ReadTimeout),
    ):
        client.post(PATH, files={"clip": ("a.mp3", mp3)}, params={"why": True}, timeout=0.02)
    until = time.monotonic() + 120  # the service may only now begin with what was cancelled
    while (read_in_progress(service) > 1 or temporary_files(service)) and time.monotonic() < until:
        time.sleep(0.1)
    assert temporary_files(service) == []


def read_in_progress(service: Service) -> float:
    lines = service.client.get("/metrics").text.splitlines()
    (line,) = [line for line in lines if line.startswith("twinear_requests_in_progress ")]
    return float(line.split()[1])


def test_what_a_killed_service_left_is_removed_at_the_next_start_and_no_other(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    alive, killed = Uploads(UploadLimits()), tmp_path / FOLDER / "killed"
    alive.start()
    killed.mkdir()
    (killed / LOCK).touch()
    (killed / "1.mp3").touch()
    ours = [path for path in (tmp_path / FOLDER).iterdir() if path != killed]
    following = Uploads(UploadLimits())
    following.start()
    assert not killed.exists()
    assert all(path.exists() for path in ours)
    following.stop()
    alive.stop()
    assert list((tmp_path / FOLDER).iterdir()) == []

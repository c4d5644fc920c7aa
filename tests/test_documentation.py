"""Every command that the README shows runs, and every figure it shows is the committed one."""

import json
import os
import re
import shutil
import signal
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import pytest

from tests.acquisition.test_datasets import HETREC
from tests.conftest import PARAMS, ROOT, Project
from tests.model.test_scorer import spectrograms
from tests.support.archives import Archives
from tests.support.audio import music, write_clip
from tests.support.services import FakeArtist, FakeServices
from tests.support.tiny_clap import save_clap
from twinear.acquisition.datasets.registry import BASE_URL
from twinear.acquisition.import_corpus import import_corpus
from twinear.artists.clip_table import read_clip_table
from twinear.artists.identity import read_artists
from twinear.base.params import SECTIONS, read_sections
from twinear.model.scorer import Scorer
from twinear.spectrograms.embedding_table import Vectors

README = (ROOT / "README.md").read_text(encoding="utf-8")
COMMANDS = [
    line.split("#")[0].removeprefix("$ ").strip()
    for block in re.findall(r"```console\n(.*?)```", README, flags=re.DOTALL)
    for line in block.splitlines()
]
# have tests of their own
LONG = {"make ui", "make run", "make test", "make tune", "make report", "make retrain"}
CHAMPIONS = ("twinear promote", "twinear champion")  # are in MLflow


@pytest.fixture(scope="module")
def reader(finished: Project, tmp_path_factory: pytest.TempPathFactory) -> Project:
    """The project of somebody who follows the README from top to bottom."""
    folder = tmp_path_factory.mktemp("reader")
    project = finished.copy(folder / "project")
    (project.folder / ".venv").symlink_to(Path(sys.executable).parents[1])
    params = project.folder / "params.yaml"  # one fresh seed after a search is enough here
    text = re.sub(r"confirm_seeds: \[.*?\]", "confirm_seeds: [101]", params.read_text())
    params.write_text(text, encoding="utf-8")
    (folder / "LISTENS").mkdir()
    for path in (project.folder / "data/listens").iterdir():
        (folder / "LISTENS" / path.name).write_bytes(path.read_bytes())
    shutil.copytree(project.folder / "data", folder / "CLIPS")  # imports change data
    return project


def concrete(command: str, project: Project) -> list[str]:
    """A command of the README with the reader's own files in it."""
    clips = sorted((project.folder / "data/clips").iterdir())
    files = {"data/clips/A.mp3": str(clips[0]), "data/clips/B.mp3": str(clips[-1])}
    files |= {"1000": "2"}  # artists: MusicBrainz is asked once a second
    files |= {"20": "2", "trials=20": "trials=2"}  # of the search
    files |= {"1,2,3": "1"}  # seeds
    files |= {"LISTENS": "../LISTENS", "CLIPS": "../CLIPS/clips.csv"}
    files |= {"MODEL": "../MODEL", "VECTORS": "../VECTORS.npz"}
    words = re.findall(r'"[^"]*"|\S+', command)
    quick = ["training.epochs=1", "ranking.n_chance=20"]  # for what would take minutes
    judging = command.startswith(("twinear crossval", "twinear evaluate"))
    settings = [word for each in quick if judging for word in ("--set", each)]
    return [files.get(word, word.strip('"')) for word in words] + settings


@pytest.mark.parametrize("command", [each for each in COMMANDS if each not in LONG])
def test_a_command_of_the_readme_runs(
    reader: Project,
    fetcher: Project,
    embedder: Project,
    monkeypatch: pytest.MonkeyPatch,
    command: str,
) -> None:
    listened = read_artists(reader.folder / "artifacts/listens/artists.csv", "").head(2)
    known = [
        FakeArtist(name=name, mbid=mbid, deezer=n)
        for n, (name, mbid) in enumerate(zip(listened["name"], listened["mbid"], strict=True), 1)
    ]
    project = fetcher if command.startswith(("twinear fetch", "twinear clips")) else reader
    if {"MODEL", "VECTORS"} & set(command.split()):
        project = embedder
    archives = Archives(files={"hetrec2011-lastfm-2k.zip": HETREC})
    with FakeServices(*known) as services, archives:
        for name, value in {**services.environment, BASE_URL: archives.url}.items():
            monkeypatch.setenv(name, value)
        tracking = "on" if command.startswith(CHAMPIONS) else "off"
        project.must(*concrete(command, reader), tracking=tracking)


@pytest.fixture(scope="module")
def fetcher(finished: Project, tmp_path_factory: pytest.TempPathFactory) -> Project:
    """A project without clips, in which the short ones of the services on loopback are usable."""
    folder = tmp_path_factory.mktemp("fetcher")
    (folder / "artifacts").symlink_to(finished.folder / "artifacts")
    text = PARAMS.read_text(encoding="utf-8").replace("min_seconds: 5.0", "min_seconds: 1.0")
    (folder / "params.yaml").write_text(text, encoding="utf-8")
    return Project(folder=folder)


@pytest.fixture(scope="module")
def embedder(reader: Project) -> Project:
    """A project with two clips, a tiny model, and a table that has a vector of the sample."""
    beside = reader.folder.parent
    folder = beside / "embedder"
    for artist in ("One", "Two"):
        write_clip(beside / "MUSIC" / artist / "a.flac", music(1.0))
    import_corpus(reader.folder / "data/listens", beside / "MUSIC", folder / "data")
    save_clap(beside / "MODEL", "---\nlicense: mit\n---\n")
    clip = read_clip_table(reader.folder / "data/clips.csv")["file"][0]
    Vectors(clips=[clip], vector=np.ones((1, 3), np.float32)).write(beside / "VECTORS.npz")
    return Project(folder=folder)


def test_the_commands_are_found_in_the_readme() -> None:
    assert COMMANDS[:2] == ["make run", "make test"]
    assert len(COMMANDS) > 12


@pytest.fixture(scope="module")
def environment(reader: Project) -> None:
    """Tell make that the environment is ready: it is the one that runs this test."""
    (reader.folder / ".venv" / "ready").touch()


def test_make_run_shows_the_ranking_and_where_things_are(
    finished: Project, reader: Project, environment: None
) -> None:
    shown = reader.must("make", "run")
    assert "catalogue ahead, NDCG@10" in shown
    assert "report: reports/report.md, reports/report.html    runs: make ui" in shown


def test_make_test_runs_pytest(reader: Project, environment: None) -> None:
    assert (
        reader.must("make", "--no-print-directory", "--dry-run", "test").splitlines()[-1]
        == "pytest -n 2 --dist loadfile"
    )
    assert "make test" in (ROOT / ".ci/run").read_text()


def test_make_tune_searches(reader: Project, environment: None) -> None:
    said = reader.must("make", "--no-print-directory", "--dry-run", "tune", "TRIALS=7")
    assert said.splitlines()[-1] == "twinear tune --trials 7"


@contextmanager
def served(project: Project, *command: str) -> Iterator[None]:
    """A server in its own process group, stopped at the end."""
    programs = str(Path(sys.executable).parent)
    path = programs + os.pathsep + os.environ["PATH"]
    process = subprocess.Popen(
        command,
        cwd=project.folder,
        env={**os.environ, "PATH": path},
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        start_new_session=True,
    )
    try:
        yield
    finally:
        os.killpg(process.pid, signal.SIGTERM)
        process.wait()


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


def answer(request: str | urllib.request.Request, seconds: float = 90) -> bytes:
    """What a server on loopback answers, once it does."""
    end = time.monotonic() + seconds
    while True:
        try:
            with urllib.request.urlopen(request, timeout=30) as response:  # noqa: S310
                body: bytes = response.read()
                return body
        except (urllib.error.URLError, ConnectionError):
            if time.monotonic() > end:
                raise
            time.sleep(0.3)


def test_make_ui_shows_the_runs(reader: Project, environment: None) -> None:
    port = free_port()
    with served(reader, "make", "ui", f"PORT={port}"):
        assert b"MLflow" in answer(f"http://127.0.0.1:{port}")


def test_the_registered_scorer_is_served(finished: Project, reader: Project) -> None:
    command = re.search(r"`(mlflow models serve .*?)`", README)
    assert command is not None
    port = free_port()
    scorer = Scorer.read(finished.folder / "artifacts/training/scorer.safetensors")
    shape = scorer.inputs.shape
    pair = spectrograms(2, *shape).astype(float)[None]  # (1, 2, n_bands, n_frames)
    body = json.dumps({"inputs": pair.tolist()}).encode()
    request = urllib.request.Request(
        f"http://127.0.0.1:{port}/invocations",
        data=body,
        headers={"Content-Type": "application/json"},
    )
    with served(reader, *command.group(1).split(), "--port", str(port)):
        (score,) = json.loads(answer(request))["predictions"]
    u, v = scorer.encode(pair[0])[:, None]
    assert score == pytest.approx(float(scorer.score(u, v)[0, 0]), abs=1e-5)


def test_the_ranking_in_the_readme_is_the_committed_one(finished: Project) -> None:
    shown = finished.must("twinear", "ranking", "--reports", str(ROOT / "reports"))
    block = re.search(r"<!-- ranking -->\n```text\n(.*?)```", README, flags=re.DOTALL)
    assert block is not None
    assert block.group(1) == shown


def test_the_readmes_tree_names_every_stage_and_only_what_is_there() -> None:
    stages = {path.name for path in (ROOT / "src/stages").glob("*.py")}
    assert stages <= set(README.split())
    linked = re.findall(r"\]\(((?!http)[^)]+)\)", README)
    tree = re.search(r"## The tree\n+```text\n(.*?)```", README, flags=re.DOTALL)
    assert tree is not None
    named = re.findall(r"^([\w./]+(?:  ?[\w.]+)*)  ", tree.group(1) + "  ", flags=re.MULTILINE)
    words = [word for line in named for word in line.split()]
    assert {"dvc.yaml", "LAB.md", "dvcstore/"} <= set(words)
    made = {"data/", "artifacts/"}  # by the first command
    assert all((ROOT / each).exists() for each in {*linked, *words} - made)


def test_every_key_of_params_is_explained_where_it_stands() -> None:
    assert tuple(read_sections(PARAMS)) == SECTIONS
    lines = [line for line in PARAMS.read_text().splitlines() if re.match(r"  +\w+: .", line)]
    plain = {line.split(":")[0].strip() for line in lines if "#" not in line}
    assert plain <= {"sr", "n_mels", "fmin", "fmax", "seed", "corpus_note"}  # say it themselves


def test_a_folder_of_artists_is_imported_too(finished: Project, tmp_path: Path) -> None:
    for artist in ("One", "Two"):
        (tmp_path / "music" / artist / "Album").mkdir(parents=True)
    write_clip(tmp_path / "music/One/Album/a.flac", music(2.0))
    done = finished.must(
        "twinear",
        "import",
        "--listens",
        "data/listens",
        "--clips",
        str(tmp_path / "music"),
        "--into",
        str(tmp_path / "data"),
        "--json",
    )
    assert '"clips": 1' in done

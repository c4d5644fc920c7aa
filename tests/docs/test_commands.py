"""Every command and every line of Python that the README and the pages show runs.

A command whose subject is not a process runs in this one. What takes minutes, a cluster or a server
of its own has a test elsewhere, named in `ELSEWHERE`.
"""

import ast
import io
import json
import re
import shutil
import urllib.request
import zipfile
from itertools import pairwise
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from ruamel.yaml import YAML
from typer.testing import CliRunner

import twinear.cli.commands  # noqa: F401  (adds every command to the app)
from tests.conftest import ROOT, Project
from tests.docs.blocks import PAGES, README, read_blocks, read_commands
from tests.support.archives import Archives
from tests.support.audio import music, write_clip
from tests.support.servers import answer, free_port, served
from tests.support.services import FakeArtist, FakeServices
from tests.support.subsonic import PASSWORD, USER, FakeSubsonic, child, subsonic_server
from tests.support.tiny_clap import save_clap
from tests.support.tuning import project as tiny_project
from twinear.acquisition.datasets.registry import BASE_URL
from twinear.acquisition.import_corpus import import_corpus
from twinear.artists.clip_table import read_clip_table
from twinear.artists.identity import read_artists
from twinear.base.checksums import CHECKSUMS
from twinear.cli.app import app
from twinear.model.scorer import Scorer
from twinear.split import Split

COMMANDS = read_commands()
PYTEST = "pytest -n 3 --dist loadfile --no-loadscope-reorder"
N_KNOWN = 2  # artists that the services on loopback know
SUBSONIC = "http://127.0.0.1:4533"
SERVE = "mlflow models serve -m models:/twinear/1 --env-manager local"

# The beginning of a command -> the test that runs it, and words that this test must contain.
ELSEWHERE = {
    "dvc exp run": (
        "tests/test_finished.py::test_metrics_and_plots_of_an_experiment_are_compared",
        ("exp", "run", "-S"),
    ),
    "dvc metrics diff": (
        "tests/test_finished.py::test_metrics_and_plots_of_an_experiment_are_compared",
        ("metrics", "diff"),
    ),
    "dvc plots diff": (
        "tests/test_finished.py::test_metrics_and_plots_of_an_experiment_are_compared",
        ("plots", "diff"),
    ),
    "dvc exp show": (
        "tests/test_finished.py::test_queued_experiments_are_shown_applied_and_in_mlflow_too",
        ("exp", "show"),
    ),
    "dvc repro": (
        "tests/test_finished.py::test_nothing_that_did_not_change_runs_again",
        ("dvc", "repro"),
    ),
    "mlflow run . --env-manager local": (
        "tests/test_finished.py::test_mlflow_runs_the_project",
        ("mlflow", "run", "--env-manager"),
    ),
    "make report": (
        "tests/test_stages_touched.py::test_a_clone_without_data_shows_the_committed_results",
        ("report",),
    ),
    "twinear serve": ("tests/serve/test_process.py::test_it_answers_logs_and_ends_in_order", ()),
    "TWINEAR_TOKEN=": (
        "tests/serve/test_access.py::test_the_api_needs_the_token_and_the_page_and_the_health_do_not",
        (),
    ),
    "curl": ("tests/serve/test_api.py::test_similar_artists_are_those_of_the_library", ()),
    "twinear champion --checkout": (
        "tests/tracking/test_registry.py"
        "::test_the_scorer_the_catalogue_and_the_reports_of_the_champion_are_brought",
        (),
    ),
    "twinear rollback": (
        "tests/tracking/test_promotions.py"
        "::test_promotions_refusals_and_rollbacks_are_recorded_with_their_numbers",
        (),
    ),
    "dask worker": (
        "tests/compute/test_pool.py::test_a_cluster_gives_the_results_in_order",
        (),
    ),
    "TWINEAR_TOKEN=SECRET twinear serve": (
        "tests/serve/doors/test_documented_addresses.py"
        "::test_the_service_answers_at_the_addresses_that_are_documented_for_players",
        ("twinear", "serve", "--host", "0.0.0.0", "TWINEAR_TOKEN"),  # noqa: S104
    ),
    "python integrations/navidrome/build.py": (
        "tests/serve/doors/test_navidrome.py::test_the_source_gives_these_bytes",
        ("--host",),
    ),
    "TWINEAR_PROCESSES=": (
        "tests/training/test_launch.py::test_several_processes_on_one_machine_or_on_two_write_once",
        (),
    ),
    "torchrun": (
        "tests/training/test_launch.py::test_several_processes_on_one_machine_or_on_two_write_once",
        ("--nnodes", "--nproc-per-node", "--rdzv-backend", "--rdzv-endpoint"),
    ),
    "make stages": (
        "tests/test_without_dvc.py::test_the_stages_without_dvc_write_what_dvc_repro_writes",
        ("make", "stages"),
    ),
    "python src/stages/5_split.py": (
        "tests/test_without_dvc.py::test_the_stages_without_dvc_write_what_dvc_repro_writes",
        (),
    ),
    "make sbom": (
        "tests/deploy/test_licences.py::test_make_sbom_writes_bills_of_materials_and_the_list",
        ("make", "sbom"),
    ),
    "docker compose --file deploy/mlflow/compose.yaml": (
        "tests/deploy/test_mlflow_server.py"
        "::test_runs_and_models_go_through_the_server_to_postgresql_and_s3",
        (),
    ),
    "MLFLOW_TRACKING_URI=http://127.0.0.1:5000 dvc repro": (
        "tests/deploy/test_mlflow_server.py"
        "::test_runs_and_models_go_through_the_server_to_postgresql_and_s3",
        ("dvc", "repro"),
    ),
    "docker build": (
        "tests/deploy/test_images.py::test_every_line_of_the_image_runs_and_its_service_is_healthy",
        (),
    ),
    "docker run": (
        "tests/deploy/test_images.py::test_every_line_of_the_image_runs_and_its_service_is_healthy",
        (),
    ),
    "twinear model": (
        "tests/test_exchange.py"
        "::test_an_exported_model_scores_a_clip_elsewhere_with_the_same_figures",
        ("model", "export", "import"),
    ),
    "twinear score data/clips/A.mp3 data/clips/B.mp3 --scorer artifacts/model": (
        "tests/test_exchange.py"
        "::test_an_exported_model_scores_a_clip_elsewhere_with_the_same_figures",
        ("score", "--scorer"),
    ),
    "TWINEAR_DASK=": (
        "tests/compute/test_pool.py::test_a_cluster_gives_the_results_in_order",
        (),
    ),
}
# These have a test of their own below.
BELOW = (
    *(f"make {target}" for target in ("run", "serve", "test", "tune", "retrain", "docs", "ui")),
    SERVE,
)
TUNE_PROJECT = "mlflow run . --env-manager local -e tune -P trials=20"
HERE = [
    command
    for command in COMMANDS
    if command not in (*BELOW, TUNE_PROJECT) and not command.startswith(tuple(ELSEWHERE))
]


@pytest.fixture(scope="module")
def reader(finished: Project, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder like the finished project, in which commands may write."""
    folder = tmp_path_factory.mktemp("reader") / "project"
    (folder / "artifacts").mkdir(parents=True)
    for path in (finished.folder / "artifacts").iterdir():
        (folder / "artifacts" / path.name).symlink_to(path)
    for name in ("data", "recipes", "src"):
        (folder / name).symlink_to(finished.folder / name)
    shutil.copytree(finished.folder / "reports", folder / "reports")
    shutil.copy(finished.folder / "mlflow.db", folder)
    sections = YAML(typ="safe", pure=True).load(finished.folder / "params.yaml")
    sections["ranking"] |= {"n_bootstrap": 100, "n_chance": 20, "listener_draws": 2}
    sections["split"]["n_folds"] = 3
    sections["clips"]["min_seconds"] = 1.0  # those of the services on loopback are short
    with (folder / "params.yaml").open("w", encoding="utf-8") as file:
        YAML(typ="safe", pure=True).dump(sections, file)
    return folder


@pytest.fixture(scope="module")
def embedder(reader: Path) -> Path:
    """A folder with two clips; beside it listens, a tiny model and the embedding of a clip."""
    beside, folder = reader.parent, reader.parent / "embedder"
    for artist in ("One", "Two"):
        write_clip(beside / "MUSIC" / artist / "a.flac", music(1.0))
    (beside / "LIST").write_text("One\nTwo\n", encoding="utf-8")
    history = "artist,plays\nOne,3\nTwo,2\n"
    (beside / "ANNA.csv").write_text(history, encoding="utf-8")
    with zipfile.ZipFile(beside / "BEN.zip", "w") as file:
        file.writestr("plays.csv", history)
    table = read_clip_table(reader / "data/clips.csv")
    asked = read_artists(reader / "artifacts/listens/artists.csv", "").head(N_KNOWN)
    asked[["name", "mbid"]].to_csv(beside / "ARTISTS.csv", index=False, header=["artist", "mbid"])
    named = table["artist"].unique()
    rows = "".join(f"{one},{two}\n" for one, two in pairwise(named))
    (beside / "PAIRS.csv").write_text(f"artist,similar_artist\n{rows}", encoding="utf-8")
    import_corpus(reader / "data/listens", beside / "MUSIC", folder / "data")
    save_clap(beside / "MODEL", "---\nlicense: mit\n---\n")
    np.savez(beside / "EMBEDDINGS.npz", clip=[table["file"][0]], vector=np.ones((1, 3), np.float32))
    return folder


@pytest.fixture(scope="module")
def library(reader: Path) -> Path:
    """A folder of music: some clips, by artist."""
    clips = read_clip_table(reader / "data/clips.csv")
    for artist, file in clips[["artist", "file"]].head(8).itertuples(index=False):
        target = reader.parent / "LIBRARY" / artist / Path(file).name
        target.parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(reader / "data" / file, target)
    return reader.parent / "LIBRARY"


@pytest.fixture(scope="module")
def few(reader: Path) -> Path:
    """A folder with one clip of some artists, the test artists among them, and a scorer."""
    folder = reader.parent / "few"
    (folder / "data/clips").mkdir(parents=True)
    (folder / "artifacts").mkdir()
    for path in (reader / "artifacts").iterdir():
        if path.name not in ("similarity", "spectrograms"):  # these are of all artists
            (folder / "artifacts" / path.name).symlink_to(path)
    clips = pd.read_csv(reader / "data/clips.csv").drop_duplicates("mbid")
    test = clips["mbid"].isin(Split.read(reader / "artifacts/split.csv").members("test"))
    clips = pd.concat([clips[test], clips[~test].head(12)])
    clips["collection"] = np.where(np.arange(len(clips)) % 2, "radio", "shop")
    clips.to_csv(folder / "data/clips.csv", index=False)
    clip_paths = [f"data/{file}" for file in clips["file"]]
    for name in ("data/listens", "params.yaml", "recipes"):
        (folder / name).symlink_to(reader / name)
    for clip in clip_paths:  # links that leave the data folder are refused
        shutil.copy(reader / clip, folder / clip)
    return folder


def hetrec() -> bytes:
    """Make the archive of a data set with two listeners."""
    archive = io.BytesIO()
    with zipfile.ZipFile(archive, "w") as file:
        file.writestr("user_artists.dat", "userID\tartistID\tweight\n2\t51\t10\n3\t51\t1\n")
        file.writestr("artists.dat", "id\tname\turl\tpictureURL\n51\tAir\tx\ty\n")
    return archive.getvalue()


def concrete(command: str, reader: Path) -> list[str]:
    """Put the reader's own files into a command of the documentation, and make it quick."""
    words = re.findall(r'"[^"]*"|\S+', command)
    clips = sorted((reader / "data/clips").iterdir())
    values = {
        "data/clips/A.mp3": str(clips[0]),
        "data/clips/B.mp3": str(clips[-1]),
        "LISTENS": str(reader / "data/listens"),
        "ANNA.csv": str(reader.parent / "ANNA.csv"),
        "BEN.zip": str(reader.parent / "BEN.zip"),
        "friends=LISTENS": f"friends={reader / 'data/listens'}",
        "editors=PAIRS.csv": f"editors={reader.parent / 'PAIRS.csv'}",
        "ARTISTS.csv": str(reader.parent / "ARTISTS.csv"),
        "CLIPS": str(reader / "data/clips.csv"),
        "LIBRARY": str(reader.parent / "LIBRARY"),
        "LIST": str(reader.parent / "LIST"),
        "MUSIC": str(reader.parent / "MUSIC"),
        "MODEL": str(reader.parent / "MODEL"),
        "EMBEDDINGS": str(reader.parent / "EMBEDDINGS.npz"),
        "1000": "2",  # artists: MusicBrainz is asked once a second
        "20": "2",  # trials
        "40000": "20",  # listeners
        "1,2,3": "1",  # seeds
    }
    quick = {
        "twinear crossval": "--set training.epochs=1 --set training.refit=false",
        "twinear sample": "--seconds 1",
    }
    more = next((text for start, text in quick.items() if command.startswith(start)), "")
    return [values.get(word, word.strip('"')) for word in words] + more.split()


def is_slow(command: str) -> bool:
    """Whether it cross-validates; the tests of cross-validation do it always."""
    return command.startswith("twinear crossval")


SLOW = pytest.mark.slow(reason="trains or ranks several times")


@pytest.mark.parametrize(
    "command", [pytest.param(each, marks=[SLOW] if is_slow(each) else []) for each in HERE]
)
def test_a_command_of_the_documentation_runs(
    finished: Project,
    reader: Path,
    embedder: Path,
    library: Path,
    few: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    command: str,
) -> None:
    words = concrete(command, reader)
    if words[0] != "twinear":
        finished.must("env", *words)
        return
    if words[1] in {"promote", "track"} or "champion" in command:
        monkeypatch.setenv("TWINEAR_TRACKING", "on")
        # without it twinear tells MLflow the address, which other tests would then inherit
        monkeypatch.setenv("MLFLOW_TRACKING_URI", f"sqlite:///{reader / 'mlflow.db'}")
    name = words[1]
    shutil.copy(reader / "params.yaml", tmp_path)
    (tmp_path / "artifacts").symlink_to(reader / "artifacts")
    tiny = tiny_project(tmp_path / "tiny").folder if name == "tune" else tmp_path
    places = {"embed": embedder, "tune": tiny}
    places |= dict.fromkeys(("import", "fetch", "sample"), tmp_path)
    places |= dict.fromkeys(("clips", "crossval", "evaluate"), few)
    monkeypatch.chdir(places.get(name, reader))
    listened = read_artists(reader / "artifacts/listens/artists.csv", "").head(N_KNOWN)
    known = [
        FakeArtist(name=name, mbid=mbid, deezer=n, similar=tuple(listened["name"]))
        for n, (name, mbid) in enumerate(zip(listened["name"], listened["mbid"], strict=True), 1)
    ]
    archives = Archives(files={"hetrec2011-lastfm-2k.zip": hetrec()})
    songs = [
        child(str(n), file.stem, file.parent.name, file.relative_to(library).as_posix())
        for n, file in enumerate(sorted(library.rglob("*.*")))
    ]
    server = subsonic_server(FakeSubsonic(songs=songs))
    with FakeServices(*known) as services, archives, server as subsonic:
        variables = {**services.environment, BASE_URL: archives.url}
        variables |= {"SUBSONIC_USER": USER, "SUBSONIC_PASSWORD": PASSWORD}
        for variable, value in variables.items():
            monkeypatch.setenv(variable, value)
        words = [subsonic.url if word == SUBSONIC else word for word in words]
        result = CliRunner().invoke(app, words[1:], catch_exceptions=False)
    assert result.exit_code == 0, result.output


@pytest.mark.parametrize("block", read_blocks("python"))
def test_the_python_of_the_documentation_runs(
    reader: Path,
    few: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    block: str,
) -> None:
    clips = sorted((reader / "data/clips").iterdir())
    for name, clip in (("A.mp3", clips[0]), ("B.mp3", clips[-1])):
        block = block.replace(f"data/clips/{name}", str(clip))
    monkeypatch.chdir(few if "cross_validate" in block else reader)
    exec(compile(block, "documentation", "exec"), {})  # noqa: S102
    assert capsys.readouterr().out


def test_the_commands_are_found_in_all_pages() -> None:
    assert read_commands(README)[:2] == ["make run", "make test"]
    guides = [page for page in PAGES if page.parent.name == "how-to"]
    silent = {page.name for page in guides if not read_commands(page)}
    assert silent == {"index.md", "python.md"}
    assert len(COMMANDS) > 30


@pytest.mark.parametrize("start", ELSEWHERE)
def test_a_command_that_is_not_run_here_has_a_test_elsewhere(start: str) -> None:
    path, name = ELSEWHERE[start][0].split("::")
    source = (ROOT / path).read_text(encoding="utf-8")
    tests = {n.name: n for n in ast.walk(ast.parse(source)) if isinstance(n, ast.FunctionDef)}
    body = ast.get_source_segment(source, tests[name])
    assert body is not None
    assert all(f'"{word}"' in body for word in ELSEWHERE[start][1])
    assert any(command.startswith(start) for command in COMMANDS)


def test_mlflows_entry_point_runs_the_documented_search() -> None:
    project = YAML(typ="safe", pure=True).load(ROOT / "MLproject")
    command = project["entry_points"]["tune"]["command"].format(trials=20)
    assert TUNE_PROJECT in COMMANDS
    assert command == "twinear tune --trials 20"
    assert command in HERE


def test_what_the_tutorial_shows_of_neighbours_is_what_is_printed(reader: Path) -> None:
    shown = read_blocks("text", ROOT / "docs/tutorial.md")[0]
    folder = str(reader / "artifacts/neighbours")
    words = ("neighbours", "The Mandrouxs", "--top", "5", "--neighbours", folder)
    assert CliRunner().invoke(app, words).stdout == shown


def make(project: Project, *words: str) -> str:
    """Run make in an environment that is ready: the one that runs this test."""
    return project.must("make", "--no-print-directory", "-o", ".venv/ready", *words)


def test_make_run_shows_the_ranking_and_where_things_are(finished: Project) -> None:
    shown = make(finished, "run")
    assert "ahead, NDCG@10" in shown
    assert "reports/report.html" in shown


@pytest.mark.parametrize(
    ("words", "last"),
    [
        (("test",), f'{PYTEST} -m "not slow"'),
        (("test-slow",), f"{PYTEST} -m slow"),
        (("test-all",), PYTEST),
        (("test-all", "PROCESSES=8"), PYTEST.replace("3", "8")),
        (("serve",), "twinear serve"),
        (("tune",), "twinear tune"),
        (("tune", "TRIALS=7"), "twinear tune --trials 7"),
        (("retrain", "ARGS=--accept-drift"), "twinear retrain --accept-drift"),
        (("docs",), "mkdocs build --strict --quiet"),
        (("stages",), "python src/stages"),
        (("sbom",), "python deploy/sbom.py sbom"),
        (("check",), f'{PYTEST} -m "not slow"'),
    ],
)
def test_a_make_target_ends_with_its_program(
    finished: Project, words: tuple[str, ...], last: str
) -> None:
    shown = make(finished, "--dry-run", *words)
    assert shown.splitlines()[-1].strip() == last
    if words == ("check",):
        assert "mkdocs build --strict" in shown


def test_a_submission_runs_the_readmes_command_and_the_slow_tests() -> None:
    script = (ROOT / ".ci/run").read_text(encoding="utf-8").splitlines()
    assert script[-2:] == ["make test", "make test-slow"]


@pytest.mark.slow(reason="starts an MLflow server")
def test_make_ui_shows_the_runs(finished: Project) -> None:
    port = free_port()
    make_ui = ("make", "-o", ".venv/ready", "ui", f"PORT={port}")
    with served(finished.folder, *make_ui) as server:
        assert b"MLflow" in answer(server, f"http://127.0.0.1:{port}")


@pytest.mark.slow(reason="starts a server of MLflow models")
def test_the_registered_scorer_is_served(spoiled: Project) -> None:
    assert SERVE in COMMANDS
    port, path = free_port(), "artifacts/training/scorer.safetensors"
    scorer = Scorer.read(spoiled.folder / path)
    register = f"from twinear.tracking.registry import register; register('{scorer.digest}')"
    spoiled.must("python", "-c", register, tracking="on")
    shape = (1, 2, *scorer.inputs.shape)  # (pairs, clips, n_mels, n_frames)
    pair = np.random.default_rng(0).random(shape)
    request = urllib.request.Request(
        f"http://127.0.0.1:{port}/invocations",
        data=json.dumps({"inputs": pair.tolist()}).encode(),
        headers={"Content-Type": "application/json"},
    )
    with served(spoiled.folder, *SERVE.split(), "--port", str(port)) as server:
        (score,) = json.loads(answer(server, request))["predictions"]
    u, v = scorer.encode(pair[0])[:, None]
    assert score == pytest.approx(float(scorer.score(u, v)[0, 0]), abs=1e-5)


def test_a_folder_of_artists_is_imported_too(finished: Project, tmp_path: Path) -> None:
    for artist in ("One", "Two"):
        write_clip(tmp_path / "music" / artist / "Album/a.flac", music(2.0))
    source = ("--listens", str(finished.folder / "data/listens"), "--clips", f"{tmp_path}/music")
    words = ("import", *source, "--into", str(tmp_path / "data"), "--json")
    result = CliRunner().invoke(app, words, catch_exceptions=False)
    assert '"clips": 2' in result.stdout


def test_every_output_of_the_pipeline_is_explained_with_its_columns(finished: Project) -> None:
    page = (ROOT / "docs/reference/files.md").read_text(encoding="utf-8")
    rows = dict(re.findall(r"^\| `([\w./]+)` \|(.*)\|$", page, re.MULTILINE))
    for path in sorted((finished.folder / "artifacts").rglob("*")):
        if path.is_dir() or path.name == CHECKSUMS:  # of every folder: one row
            continue
        name = path.relative_to(finished.folder).as_posix()
        assert name in rows, f"{name} is not in docs/reference/files.md"
        for word in contents(path):
            assert re.search(rf"\b{word}\b", rows[name]), f"{name}: {word}"
    reports = {path.name for path in (ROOT / "reports").iterdir()}
    assert all(f"`reports/{name}" in page for name in reports)
    made = [path for path in rows if path.startswith("artifacts/") and not path.endswith("/")]
    assert all((finished.folder / path).exists() for path in made)


def contents(path: Path) -> list[str]:
    """Name the columns, arrays or types that the page must tell of a file."""
    if path.suffix == ".csv":
        return list(pd.read_csv(path, nrows=1).columns)
    if path.suffix == ".parquet":
        return list(pd.read_parquet(path).columns)
    if path.suffix == ".npy":
        return [str(np.load(path, mmap_mode="r", allow_pickle=False).dtype)]
    if path.name == "mfcc.npz":
        return ["mean", "cov"]
    if path.name == "protocol.json":
        return list(json.loads(path.read_text(encoding="utf-8")))
    return []

"""What every test may use: the project's root, its params, and a scratch project that has run."""

import gc
import os
import shutil
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from functools import partial
from itertools import chain
from multiprocessing import forkserver, resource_tracker
from pathlib import Path
from typing import Any

import pytest
from filelock import FileLock
from hypothesis import HealthCheck, settings

# One thread for linear algebra: the processes of the tests keep all cores busy, and threads that
# wait for each other cost time. Set before NumPy is imported. Training sets its own number.
os.environ.setdefault("OMP_NUM_THREADS", "1")

# A shell script starts what runs in the background with Ctrl-C ignored, and the programs that tests
# interrupt would inherit that.
if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    signal.signal(signal.SIGINT, signal.default_int_handler)

ROOT = Path(__file__).parents[1]
PARAMS = ROOT / "params.yaml"

# Random examples: some at each run on a developer's machine, many in continuous integration. On a
# busy machine an example takes any time.
settings.register_profile(
    "twinear",
    max_examples=100 if os.environ.get("CI") else 15,
    deadline=None,
    suppress_health_check=[HealthCheck.too_slow],
)
settings.load_profile("twinear")

# What the workers of the stages, of the service and of the search import.
WORKERS_IMPORT = [
    "twinear.spectrograms.computation",
    "twinear.serve.limited_work",
    "twinear.tuning.evaluation",
]
N_SLOW = pytest.StashKey[int]()  # slow tests that were left out


@pytest.hookimpl(wrapper=True)
def pytest_collection() -> Iterator[None]:
    """Collect without the garbage collector.

    Collection imports nearly every library. What it makes lives to the end: the collector need not
    look at it again and again. Tests make many small objects that do not refer to each other in
    circles, so that it need not look as often as it does by default (after 700) either.
    """
    gc.disable()
    try:
        return (yield)
    finally:
        gc.freeze()
        gc.set_threshold(20_000)
        gc.enable()


def pytest_collection_finish() -> None:
    """Start the server from which this process forks its workers, with what any of them imports.

    A process has one such server. Started by the first test that forks, it would hold the imports
    of that test's workers alone, and all others would import PyTorch each time.
    """
    if "PYTEST_XDIST_WORKER" in os.environ:
        forkserver.set_forkserver_preload(WORKERS_IMPORT)
        # as the pool starts it: Ctrl-C must not reach workers while they start
        resource_tracker.ensure_running()
        signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
        forkserver.ensure_running()
        signal.pthread_sigmask(signal.SIG_UNBLOCK, {signal.SIGINT})


def pytest_deselected(items: list[pytest.Item]) -> None:
    for item in items:
        if item.get_closest_marker("slow"):
            item.config.stash[N_SLOW] = item.config.stash.get(N_SLOW, 0) + 1


def pytest_sessionfinish(session: pytest.Session) -> None:
    """Let a process of pytest-xdist send the number of slow tests to the one that reports."""
    gc.unfreeze()  # what libraries leave at the end is theirs to collect
    if hasattr(session.config, "workeroutput"):
        session.config.workeroutput["slow"] = session.config.stash.get(N_SLOW, 0)


def pytest_testnodedown(node: Any) -> None:
    node.config.stash[N_SLOW] = getattr(node, "workeroutput", {}).get("slow", 0)


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    left_out = terminalreporter.config.stash.get(N_SLOW, 0)
    if left_out:
        terminalreporter.write_line(
            f"{left_out} slow tests left out: make test-slow runs them, make test-all all tests"
        )


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Put the modules in an order that keeps the processes of `make test` busy to the end.

    A process takes a module at a time, the next one of this order. The first makes the finished
    project. Modules with fixtures of their own that do not need it come next, so that the other
    ones need not wait for it; then those that need it, which take longest; then the short ones.
    """
    modules: dict[str, list[pytest.Item]] = {}
    for item in items:
        modules.setdefault(item.location[0], []).append(item)
    waiting = [tests for tests in modules.values() if any(map(needs_finished, tests))]
    free = [tests for tests in modules.values() if tests not in waiting]
    long = [tests for tests in free if any(map(has_module_fixture, tests))]
    short = [tests for tests in free if tests not in long]
    items[:] = chain.from_iterable([*waiting[:1], *long, *waiting[1:], *short])


def needs_finished(item: pytest.Item) -> bool:
    return "finished" in getattr(item, "fixturenames", ())


def has_module_fixture(item: pytest.Item) -> bool:
    if not isinstance(item, pytest.Function):
        return False
    definitions = item._fixtureinfo.name2fixturedefs.values()
    return any(each.scope == "module" for fixtures in definitions for each in fixtures)


@pytest.fixture(autouse=True)
def _no_tracking(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.setenv("TWINEAR_TRACKING", "off")
    forget_mlflow()
    yield
    forget_mlflow()


def forget_mlflow() -> None:
    """Take away what MLflow, once used, leaves in the process and in its environment."""
    if "mlflow" in sys.modules:
        sys.modules["mlflow"].set_tracking_uri(None)  # it would win over the environment
    for name in [name for name in os.environ if name.startswith("MLFLOW_")]:
        del os.environ[name]


@dataclass(frozen=True, kw_only=True)
class Project:
    """A scratch clone of the project, and the programs of this environment in it."""

    folder: Path

    def run(self, *command: str, tracking: str = "off") -> subprocess.CompletedProcess[str]:
        """Run a command line there; output is captured."""
        programs = str(Path(sys.executable).parent)
        settings = {
            "PATH": programs + os.pathsep + os.environ["PATH"],
            "TWINEAR_TRACKING": tracking,
            "DVC_NO_ANALYTICS": "true",
            "COLUMNS": "100",
            "OMP_WAIT_POLICY": "PASSIVE",
        }
        inherited = {k: v for k, v in os.environ.items() if not k.startswith("MLFLOW_")}
        return subprocess.run(
            command,
            cwd=self.folder,
            env={**inherited, **settings},
            capture_output=True,
            text=True,
            check=False,
        )

    def must(self, *command: str, tracking: str = "off") -> str:
        """Run a command line that must succeed; its standard output."""
        done = self.run(*command, tracking=tracking)
        assert done.returncode == 0, f"{command}: {done.stdout[-2000:]}{done.stderr[-4000:]}"
        return done.stdout

    def copy(self, folder: Path) -> "Project":
        """Copy the project to a folder where a test may change it.

        The files in which Git and DVC keep contents are read-only and never written in place:
        they are linked instead of copied. Another process may be running `dvc` in the project, so
        its locks and other temporary files are left out.
        """

        def copy_or_link(source: str, target: str) -> None:
            if Path(source).stat().st_mode & 0o222:
                shutil.copy2(source, target)
            else:
                os.link(source, target)

        temporary = shutil.ignore_patterns("tmp", "*-journal")  # of DVC, of SQLite
        shutil.copytree(
            self.folder, folder, symlinks=True, ignore=temporary, copy_function=copy_or_link
        )
        return Project(folder=folder)


# Changes of params.yaml with which the sample is done in half the time: its styles are heard in
# eight seconds of a clip as in thirty.
QUICK = {
    "n_frames: 1292 ": "n_frames: 344 ",
    "max_seconds: 300.0 ": "max_seconds: 10.0 ",
    "  epochs: 30 ": "  epochs: 10 ",
    "n_bootstrap: 2000 ": "n_bootstrap: 200 ",
    "n_chance: 1000 ": "n_chance: 200 ",
    "listener_draws: 20 ": "listener_draws: 5 ",
}


def clone(folder: Path, changes: Mapping[str, str] | None = None) -> Project:
    """The working tree as a fresh clone would have it, with one commit, nothing run.

    Texts of its params.yaml may be replaced by others.
    """
    listed = subprocess.run(
        ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=True,
    )
    for name in filter(None, listed.stdout.split("\0")):
        if (ROOT / name).exists():  # not one deleted and not yet committed
            (folder / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(ROOT / name, folder / name)
    for old, new in (changes or {}).items():
        replace_param(folder, old, new)
    project = Project(folder=folder)
    project.must("git", "init", "-q", "-b", "main")
    project.must("git", "add", "-A")
    project.must("git", "add", "-f", "dvcstore")
    identity = ("-c", "user.name=test", "-c", "user.email=test@example.org")
    project.must("git", *identity, "commit", "-qm", "clone")
    return project


def run_pipeline(project: Project) -> None:
    """Do in a clone what `make run` does, tracked by MLflow."""
    project.must("dvc", "pull", "--quiet", "data.dvc")
    project.must("dvc", "repro", tracking="on")


def replace_param(folder: Path, old: str, new: str) -> None:
    """Replace a text in the params.yaml of a folder, where it stands once."""
    path = folder / "params.yaml"
    text = path.read_text(encoding="utf-8")
    assert text.count(old) == 1, old
    path.write_text(text.replace(old, new), encoding="utf-8")


@pytest.fixture(scope="session")
def finished(tmp_path_factory: pytest.TempPathFactory) -> Project:
    """A clone in which the pipeline has run on the bundled sample, with quick params.

    A slow test runs it with the project's own. Tests read it and do not change it. It is made once
    in a test run: the first process that asks for it makes it, and the other ones wait.
    """
    base = tmp_path_factory.getbasetemp()
    if "PYTEST_XDIST_WORKER" in os.environ:
        base = base.parent  # all processes of the run have their folders there
    folder, complete = base / "finished", base / "finished.complete"
    with FileLock(base / "finished.lock"):
        if not complete.exists():
            shutil.rmtree(folder, ignore_errors=True)  # what a failed attempt has left
            run_pipeline(clone(folder, QUICK))
            complete.touch()
    return Project(folder=folder)


@pytest.fixture
def spoiled(finished: Project, tmp_path: Path) -> Project:
    """A copy of the finished project, to be changed."""
    return finished.copy(tmp_path / "project")


Edit = Callable[[str, str], None]


@pytest.fixture
def edit_params(spoiled: Project) -> Edit:
    """Replace a text in the copy's params.yaml."""
    return partial(replace_param, spoiled.folder)


@pytest.fixture(scope="session")
def cluster() -> Iterator[str]:
    """The address of a Dask scheduler with two worker processes on loopback.

    Nannies start a killed worker again. On a busy machine that takes longer than the 15 seconds
    after which `LocalCluster` forgets the nanny. An item that killed two workers is given up.
    """
    import dask
    from distributed import LocalCluster

    settings = {
        "distributed.deploy.lost-worker-timeout": "10 minutes",
        "distributed.scheduler.allowed-failures": 1,
    }
    with (
        dask.config.set(settings),
        pytest.MonkeyPatch.context() as monkeypatch,
        LocalCluster(n_workers=2, threads_per_worker=1, dashboard_address="127.0.0.1:0") as workers,
    ):
        monkeypatch.setattr("twinear.compute.pool.PATIENCE_SECONDS", 600)
        yield workers.scheduler_address

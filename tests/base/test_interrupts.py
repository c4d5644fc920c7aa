"""Ctrl-C and SIGTERM: one line, at any time, and nothing half-written stays."""

import ast
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from tests.conftest import ROOT
from twinear.base.files import replacing, working_folder, write_text

# a module that is imported for ever, by a program that says when
IMPORTING = """
from twinear.base.interrupts import end_on_interrupt
end_on_interrupt()
print("importing", flush=True)
import time
try:
    time.sleep(60)
except BaseException as error:  # as some modules do when they are imported
    raise ImportError("half-way") from error
"""
WRITING = """
import sys, time
from pathlib import Path
from twinear.base.errors import one_line_errors
from twinear.base.files import replacing
with one_line_errors(), replacing(Path(sys.argv[1])) as temporary:
    temporary.mkdir()
    (temporary / "half").touch()
    print("writing", flush=True)
    time.sleep(60)
"""


def end(program: str, number: signal.Signals, *words: str) -> tuple[int, str]:
    """Run a program, send it a signal when it has printed a line; its status and stderr."""
    with subprocess.Popen(
        [sys.executable, "-c", program, *words],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.default_int_handler),
    ) as process:
        assert process.stdout is not None
        process.stdout.readline()
        process.send_signal(number)
        _, stderr = process.communicate(timeout=60)
        return process.returncode, stderr


def test_an_interrupt_during_imports_is_one_line() -> None:
    assert end(IMPORTING, signal.SIGINT) == (130, "interrupted\n")


@pytest.mark.parametrize(
    ("number", "expected"),
    [(signal.SIGINT, (130, "interrupted\n")), (signal.SIGTERM, (143, "terminated\n"))],
)
def test_a_program_that_is_ended_while_it_writes_leaves_nothing(
    tmp_path: Path, number: signal.Signals, expected: tuple[int, str]
) -> None:
    assert end(WRITING, number, str(tmp_path / "out")) == expected
    assert list(tmp_path.iterdir()) == []


def test_what_a_killed_program_left_is_removed_by_the_next_one(tmp_path: Path) -> None:
    assert end(WRITING, signal.SIGKILL, str(tmp_path / "out"))[0] == -signal.SIGKILL
    (left,) = tmp_path.iterdir()
    others = [".theirs.7.part", ".theirs.ffffff-7.part"]  # of another program, of another machine
    for name in others:
        (tmp_path / name).touch()
    with replacing(tmp_path / "being-written") as alive:
        alive.touch()
        write_text(tmp_path / "now", "text")
    assert sorted(path.name for path in tmp_path.iterdir()) == [*others, "being-written", "now"]
    assert not left.exists()


def test_a_folder_that_was_about_to_be_replaced_is_put_back(tmp_path: Path) -> None:
    with replacing(tmp_path / "x") as temporary:
        temporary.touch()
        name = temporary.name.replace(".x.", ".good.")
    dead = tmp_path / (name.rpartition("-")[0] + "-999999999.old")
    dead.mkdir()
    (dead / "file").touch()
    write_text(tmp_path / "deeper/now", "text")
    assert dead.exists()  # nothing was written beside it
    from twinear.base import files

    files._tidy.cache_clear()  # as in the next program
    write_text(tmp_path / "now", "text")
    assert (tmp_path / "good/file").exists()
    assert not dead.exists()


def test_a_working_folder_is_gone_at_the_end(tmp_path: Path) -> None:
    with working_folder(tmp_path / "a") as folder:
        (folder / "file").touch()
        assert folder.parent == tmp_path
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    "script", sorted((ROOT / "src/stages").glob("[0-9]*.py")), ids=lambda p: p.stem
)
def test_a_stage_answers_interrupts_before_it_imports_anything_slow(script: Path) -> None:
    _, first, second, *_ = ast.parse(script.read_text(encoding="utf-8")).body
    assert ast.unparse(first) == "from twinear.base.interrupts import end_on_interrupt"
    assert ast.unparse(second) == "end_on_interrupt()"


def test_the_command_line_answers_interrupts_before_it_imports_its_commands() -> None:
    program = "import sys, twinear.cli.main; print('typer' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True)
    assert done.stdout == "False\n"

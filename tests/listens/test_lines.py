"""The scan, the query, memory and disk: four ways to the same listens."""

import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import polars as pl
import pytest
from benchmarks.listens_file import write_listens
from hypothesis import given
from hypothesis import strategies as st

from tests.conftest import ROOT
from tests.support.dumps import LASTFM, A, B, C, listens_params, write_lastfm
from twinear.base.errors import DataError
from twinear.compute.memory import FIXED
from twinear.listens import in_memory, lines, on_disk, scanner
from twinear.listens.listens import ListensParams, ListensReport, clean_listens, read_listens
from twinear.listens.readers.formats import PLAYS, REDIRECTS

DIRT = (
    f"u\t{A}\tAir\t3\n v \t{A}\tAir\t4\nu\t{A.upper()}\tAir \t 5\r\nü\t{B}\tBlur\t6\n"
    f"u\t\tBlur\t7\nu\t\t\t7\n\n\t{A}\tAir\t1\nw\t{B}\tBlur\t1e3\nw\t{B}\tBlur\t007\n"
    f"x\t{B}\tBlur\t99999999999999999999\nx\t{B}\tBlur\t2147483648\nx\t{B}\tBlur\t2147483647\n"
    f"x\t{A}\t[unknown]\t1\nx\t{A}\ta\tb\t1\n\tx\t{A}\n\xa0u\t{A}\tAir\t1\nü\t{A}\tAir\t-1\n"
    f"ghost\t{A}\tAir\t2\nu\t{A}\tAir\t2.0\nu\t{A}\tAir\t2.5\nu\t{A}\tAir\t\nlast\t{B}\tBlur\t2"
)


def both_ways(
    source: Path, chosen: ListensParams, monkeypatch: pytest.MonkeyPatch
) -> tuple[ListensReport, ListensReport]:
    """Cleaned by the scan and by the query; artists and plays must be the same already."""
    with monkeypatch.context() as patched:
        scanned, report = read_listens(source, chosen)
        patched.setattr(lines, "_ScannedLines", lambda rows, scan: lines._QueriedLines(rows=rows))
        queried, other = read_listens(source, chosen)
    assert scanned.artists.equals(queried.artists)
    assert abs(scanned.plays - queried.plays).sum() == 0
    return report, other


@pytest.mark.parametrize("strict", [True, False])
def test_the_scan_and_the_query_agree_on_dirt(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, strict: bool
) -> None:
    (tmp_path / REDIRECTS).write_text(f"old,new\n{B},{C}\n")
    dirt = DIRT.encode() + f"\nu\t{A}\tBj".encode() + b"\xf6rk\t1"
    source = write_lastfm(tmp_path, dirt, "u\tf\nv\t\nw\t\nx\t\nü\t\nlast\t\n")
    chosen = listens_params(require_mbid=strict, require_profile=strict)
    report, other = both_ways(source, chosen, monkeypatch)
    assert report == other
    assert report.rows == DIRT.count("\n") + 2
    assert (report.merged, report.undecodable, report.collisions.mbids) == (1, 1, 1)
    assert report.dropped["malformed"] == 3
    assert report.dropped["bad_plays"] == 5
    assert report.dropped["without_profile"] == (1 if strict else 0)


def test_zero_bytes_far_into_the_file_are_malformed_both_ways(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    good = f"u\t{A}\tAir\t1\n" * 2000  # what stands at the beginning must be text
    bad = [f"v\t{A}\tA\0ir\t1\n", f"v\0\t{A}\tAir\t1\n", f"v\t{A}\tAir\t1\0\n"]
    source = write_lastfm(tmp_path, (good + "".join(bad) + good).encode())
    report, other = both_ways(
        source, listens_params(require_mbid=True, require_profile=True), monkeypatch
    )
    assert report == other
    assert (report.rows, report.dropped["malformed"]) == (4003, 2)


text = st.text(alphabet='uvü \r\xa0"1', max_size=3)
numbers = st.sampled_from(["1", " 2", "03", "4.0", "1e1", "x", "", "-1", "5\r", "9" * 11])
mbids = st.sampled_from(["", A, B, A.upper(), f" {B}", "x" * 36])
rows = st.lists(st.tuples(text, mbids, text, numbers).map("\t".join) | text, max_size=30)


@given(rows=rows, damage=st.binary(max_size=3), ends=st.booleans())
def test_the_scan_and_the_query_agree_on_anything(
    tmp_path_factory: pytest.TempPathFactory, rows: list[str], damage: bytes, ends: bool
) -> None:
    content = "\n".join([f"u\t{A}\tAir\t1", *rows]).encode()
    content += b"\nz\t\t" + damage.replace(b"\0", b"") + b"\t1" + (b"\n" if ends else b"")
    source = write_lastfm(tmp_path_factory.mktemp("any"), content)
    with pytest.MonkeyPatch.context() as monkeypatch:
        report, other = both_ways(source, listens_params(require_mbid=False), monkeypatch)
    assert report == other


def test_pieces_change_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    source = write_lastfm(tmp_path, DIRT.encode() * 3)
    whole, report = read_listens(source, listens_params(require_mbid=False))
    for size in (7, 64, 1000):
        monkeypatch.setattr(scanner, "BYTES", size)
        pieces, other = read_listens(source, listens_params(require_mbid=False))
        assert other == report
        assert pieces.artists.equals(whole.artists)
        assert abs(pieces.plays - whole.plays).sum() == 0


def test_hashes_of_many_texts_are_those_of_the_scan() -> None:
    texts = ["", "a", "a" * 8, "a" * 9, "ü" * 40, "b" * 16]
    hashes = scanner.hash_texts(pl.Series(texts))
    assert hashes[0] == 0
    assert len(set(hashes.tolist())) == len(texts)
    sliced = scanner.hash_texts(pl.Series(["x", *texts])[1:])
    np.testing.assert_array_equal(sliced, hashes)


def test_on_disk_the_same_files_are_made(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    source = write_lastfm(tmp_path / "raw", DIRT.encode() * 2)
    write_listens(tmp_path / "raw" / "more", 20_000)
    with (source / LASTFM).open("ab") as file:
        file.write(b"\n" + (tmp_path / "raw" / "more").read_bytes())
    chosen = listens_params(require_mbid=False, min_listeners=2)
    monkeypatch.setattr(in_memory, "ROWS", 3000)
    monkeypatch.setattr(on_disk, "ROWS", 3000)
    report = clean_listens(source, chosen, tmp_path / "memory", 10**10)
    spilled = clean_listens(source, chosen, tmp_path / "it's disk", FIXED)
    assert spilled == report
    assert report.duplicates > 0
    for name in ("artists.csv", "plays.parquet"):
        ours, theirs = (tmp_path / each / name for each in ("memory", "it's disk"))
        assert ours.read_bytes() == theirs.read_bytes()
    assert [path.name for path in sorted((tmp_path / "it's disk").iterdir())] == [
        "artists.csv",
        "checksums.json",
        "plays.parquet",
    ]


def timed(*rows: tuple[str, str, str]) -> str:
    return "".join(
        f"{who}\t{day}T00:00:00Z\t{mbid}\tAir\t\tA recording\n" for who, day, mbid in rows
    )


EVENTS = timed(
    *[("u", "2009-01-01", A)] * 3,
    ("u", "2008-01-01", A),
    *[("v", "2009-01-02", A), ("v", "2009-01-02", B), ("", "2009-01-02", B)] * 2,
    ("v", "never", A),
    ("v", "2009-01-03", ""),
)


def test_on_disk_sums_of_listens_are_counted_as_listens(tmp_path: Path) -> None:
    source = tmp_path / "raw"
    source.mkdir()
    (source / PLAYS["lastfm_1k"]).write_text(EVENTS)
    (source / REDIRECTS).write_text(f"old,new\n{B},{A}\n")
    chosen = listens_params(require_mbid=True, window={"from": "2009-01-01", "to": ""})
    report = clean_listens(source, chosen, tmp_path / "memory", 10**10)
    assert clean_listens(source, chosen, tmp_path / "disk", FIXED) == report
    assert {rule: n for rule, n in report.dropped.items() if n} == {
        "outside_window": 1,
        "malformed": 1,
        "without_listener": 2,
        "without_mbid": 1,
    }
    assert (report.rows, report.kept, report.duplicates, report.plays) == (12, 2, 5, 7)
    assert report.merged == 1
    for name in ("artists.csv", "plays.parquet"):
        assert (tmp_path / "memory" / name).read_bytes() == (tmp_path / "disk" / name).read_bytes()


@pytest.mark.parametrize("line", [f"x\t{A}\tAir", f"\t{A}\tAir\t1", f"x\t{A}\tAir\t-1", "x\t\t\t1"])
@pytest.mark.parametrize("memory", [10**10, FIXED], ids=["in memory", "on disk"])
def test_strict_names_the_first_bad_row_in_memory_and_on_disk(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, memory: int, line: str
) -> None:
    monkeypatch.setattr(scanner, "BYTES", 1000)  # several pieces
    good = [f"u\t{A}\tAir\t1"] * 100
    source = write_lastfm(
        tmp_path / "raw", "\n".join([*good, line, *good, "bad", "\t\t\t"]).encode()
    )
    with pytest.raises(DataError, match=r"plays\.tsv:101: row "):
        clean_listens(source, listens_params(strict=True), tmp_path / "out", memory)
    assert not (tmp_path / "out").exists()


@pytest.mark.slow(reason="cleans 4.5 million lines")
@pytest.mark.skipif(sys.platform != "linux", reason="asks Linux for the peak of the memory")
def test_more_lines_than_memory_are_cleaned_within_it(tmp_path: Path) -> None:
    source = tmp_path / "raw"
    source.mkdir()
    n_rows = write_listens(source / LASTFM, 4_500_000)
    limit = 750 * 10**6
    assert FIXED + n_rows * on_disk.BYTES_PER_LINE > limit
    code = (
        "import pathlib, re, runpy, sys\n"
        f"sys.argv = {['1', str(source), *(str(tmp_path / name) for name in ('out', 'm', 'r'))]}\n"
        f"runpy.run_path({str(ROOT / 'src/stages/1_listens.py')!r}, run_name='__main__')\n"
        "status = pathlib.Path('/proc/self/status').read_text()\n"
        "print(int(re.search(r'VmHWM:\\s+(\\d+)', status)[1]) * 1024)\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", code],
        cwd=ROOT,
        env={**os.environ, "TWINEAR_MEMORY": f"{limit}", "TMPDIR": str(tmp_path)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert int(done.stdout) < limit, int(done.stdout)

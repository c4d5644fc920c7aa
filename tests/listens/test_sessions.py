"""Listens are divided into sessions by their sorted times, in memory and on disk alike."""

import json
import random
from collections import Counter
from pathlib import Path

import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.support.checksums import forget_checksums
from tests.support.dumps import (
    dropped,
    listen,
    listens_params,
    mbid,
    write_dump,
    write_lastfm,
    write_table,
)
from tests.support.scrobbles import START, Scrobble, write_scrobbles
from twinear.base.errors import DataError, ParamsError
from twinear.compute.memory import FIXED
from twinear.listens import in_memory
from twinear.listens.listens import Listens, clean_listens, read_listens
from twinear.listens.readers import decompression, events
from twinear.listens.readers.events import ListenCounts, ListenRules, select_listens
from twinear.listens.readers.rows import LINE
from twinear.listens.sessions import BasketParams

GAP = 1800  # seconds
Found = list[tuple[int, dict[int, int]]]  # listener and the plays of each artist, of each session


def sessions(listens: Listens) -> Found:
    assert listens.sessions is not None
    numbers = [int(artist[:8], 16) for artist in listens.artists["artist"]]
    plays = listens.sessions.plays
    rows = zip(plays.indptr, plays.indptr[1:], listens.sessions.listener, strict=False)
    return [
        (int(who), {numbers[i]: int(n) for i, n in zip(plays.indices[a:b], plays.data[a:b])})  # noqa: B905
        for a, b, who in rows
    ]


def find(folder: Path, scrobbles: list[Scrobble], gap: int = GAP, **changes: object) -> Found:
    source = write_scrobbles(folder, scrobbles)
    return sessions(read_listens(source, listens_params(**changes), gap)[0])


def test_a_pause_longer_than_the_gap_begins_a_session(tmp_path: Path) -> None:
    log: list[Scrobble] = [("u", 0, 1), ("u", 10, 2), ("u", 40, 2), ("u", 70 + 1 / 60, 1)]
    assert find(tmp_path, log) == [(0, {1: 1, 2: 2}), (0, {1: 1})]
    assert find(tmp_path, log, GAP + 1) == [(0, {1: 2, 2: 2})]
    assert find(tmp_path, log, 599) == [(0, {1: 1}), (0, {2: 1}), (0, {2: 1}), (0, {1: 1})]


def test_sessions_are_of_one_listener_whatever_the_order_of_the_lines(tmp_path: Path) -> None:
    log: list[Scrobble] = [("v", 3, 1), ("u", 90, 3), ("u", 0, 1), ("v", 1, 2), ("u", 5, 2)]
    assert find(tmp_path, log) == [(0, {1: 1, 2: 1}), (1, {1: 1, 2: 1}), (1, {3: 1})]


def test_listens_of_the_same_second_are_of_one_session(tmp_path: Path) -> None:
    log: list[Scrobble] = [("u", 0, 1), *[("u", 31, 2)] * 3, ("u", 31, 1)]
    assert find(tmp_path, log) == [(0, {1: 1}), (0, {1: 1, 2: 3})]


def test_the_pieces_of_a_file_do_not_cut_sessions(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    log: list[Scrobble] = [("u", 20 * i + 100 * (i > 50), 1 + i % 3) for i in range(100)]
    whole = find(tmp_path, log)
    assert len(whole) == 2
    monkeypatch.setattr(decompression, "CHUNK_BYTES", 300)
    monkeypatch.setattr(events, "MAX_SUMS", 2)
    monkeypatch.setattr(in_memory, "BLOCK", 2)
    assert find(tmp_path, log) == whole


def test_a_dropped_artist_does_not_end_a_session(tmp_path: Path) -> None:
    log: list[Scrobble] = [("u", 0, 1), ("u", 25, 0), ("u", 50, 2), ("u", 90, 0), ("v", 0, 2)]
    assert find(tmp_path, log, require_mbid=True) == [(0, {1: 1, 2: 1}), (1, {2: 1})]
    few = find(tmp_path, log, require_mbid=True, min_listeners=2)
    assert few == [(0, {2: 1}), (1, {2: 1})]


def test_listeners_without_an_artist_left_have_no_number(tmp_path: Path) -> None:
    log: list[Scrobble] = [("t", 0, 5), ("u", 0, 1), ("v", 0, 6), ("w", 0, 1), ("w", 99, 1)]
    found = find(tmp_path, log, min_listeners=2)
    assert found == [(0, {1: 1}), (1, {1: 1}), (1, {1: 1})]


def test_the_period_comes_first(tmp_path: Path) -> None:
    day = 24 * 60
    log: list[Scrobble] = [("u", 0, 1), ("u", day, 1), ("u", day + 1, 2), ("u", 3 * day, 2)]
    period = {"from": "2008-01-11", "to": "2008-01-12"}
    assert find(tmp_path, log, 10**9, window=period) == [(0, {1: 1, 2: 1})]


def test_the_plays_and_the_report_are_those_without_sessions(tmp_path: Path) -> None:
    log: list[Scrobble] = [("u", 7 * i % 100, i % 4) for i in range(60)]
    source = write_scrobbles(tmp_path, [*log, *[("v", 5, 1)] * 9])
    chosen = listens_params(require_mbid=True)
    plain, report = read_listens(source, chosen)
    found, told = read_listens(source, chosen, GAP)
    assert plain.sessions is None
    assert report.sessions is None
    assert told.sessions == len(sessions(found))
    assert told == type(told)(**(vars(report) | {"sessions": told.sessions}))
    assert abs(plain.plays - found.plays).sum() == 0
    assert found.artists.equals(plain.artists)


def test_a_time_that_cannot_be_is_no_overflow(tmp_path: Path) -> None:
    lines = [
        listen(1, time, f"{n}", sent=[mbid(n)])
        for n, time in enumerate([-(10**11), 0, 2 * 10**11], 1)
    ]
    write_dump(tmp_path / "dump.tar", {"2020/1": lines})
    found = sessions(read_listens(tmp_path, listens_params(), GAP)[0])
    assert found == [(0, {1: 1, 2: 1}), (0, {3: 1})]


# in memory and on disk


def random_scrobbles(seed: int, n: int) -> list[Scrobble]:
    chance = random.Random(seed)
    times = [chance.randrange(0, 3000) for _ in range(n)]
    return [(f"u{chance.randrange(9)}", time, chance.randrange(30)) for time in times]


def by_counting(scrobbles: list[Scrobble], gap_minutes: int) -> Counter[tuple[str, int, int]]:
    """Plays by listener, start of the session and artist, listen after listen."""
    counts: Counter[tuple[str, int, int]] = Counter()
    for who in {who for who, *_ in scrobbles}:
        start = before = -(10**9)
        for time, artist in sorted((time, artist) for u, time, artist in scrobbles if u == who):
            if time - before > gap_minutes:
                start = int(time)
            counts[who, start, artist] += 1
            before = int(time)
    return counts


@given(seed=st.integers(0, 99), gap=st.integers(1, 90), memory=st.sampled_from([10**10, FIXED]))
def test_sessions_are_those_of_counting_one_by_one(
    tmp_path_factory: pytest.TempPathFactory, seed: int, gap: int, memory: int
) -> None:
    folder = tmp_path_factory.mktemp("law")
    scrobbles = random_scrobbles(seed, 300)
    source = write_scrobbles(folder / "raw", scrobbles)
    chosen = listens_params(require_mbid=True)
    clean_listens(source, chosen, folder / "out", memory, 60 * gap)
    expected = by_counting(scrobbles, gap)
    found = sessions(Listens.read(folder / "out"))
    names = list(dict.fromkeys(who for who, *_ in scrobbles))
    assert [who for who, _ in found] == sorted(who for who, _ in found)
    wanted = sorted((names.index(who), start) for who, start, artist in expected if artist)
    starts = list(dict.fromkeys(wanted))
    assert found == [
        (
            who,
            {a: n for (u, s, a), n in expected.items() if (u, s) == (names[who], start) and a},
        )
        for who, start in starts
    ]


def test_on_disk_the_same_files_are_made(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    scrobbles = [*random_scrobbles(1, 5000), ("", 5, 1), ("u1", 5, 99), ("w", 5, 99)]
    source = write_scrobbles(tmp_path / "raw", scrobbles)
    for module in ("in_memory", "on_disk"):
        monkeypatch.setattr(f"twinear.listens.{module}.ROWS", 300)
    chosen = listens_params(require_mbid=True, min_listeners=9)
    report = clean_listens(source, chosen, tmp_path / "memory", 10**10, 300)
    assert clean_listens(source, chosen, tmp_path / "disk", FIXED, 300) == report
    assert report.sessions
    assert report.dropped["few_listeners"]
    read_listens(source, chosen, 300)[0].write(tmp_path / "library")
    for name in ("artists.csv", "plays.parquet", "sessions.parquet"):
        first, *others = ((tmp_path / each / name) for each in ("memory", "disk", "library"))
        assert all(other.read_bytes() == first.read_bytes() for other in others)
    assert len(list((tmp_path / "disk").iterdir())) == 4  # and their checksums


@pytest.mark.parametrize("memory", [10**10, FIXED], ids=["in memory", "on disk"])
def test_a_folder_is_never_a_pattern(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, memory: int
) -> None:
    source = write_scrobbles(tmp_path / "raw[1]*", [("u", 0, 1), ("u", 1, 2)])
    scratch = tmp_path / "a[b]*"
    scratch.mkdir()
    monkeypatch.setattr("tempfile.tempdir", str(scratch))
    out = scratch / "out"
    assert clean_listens(source, listens_params(), out, memory, GAP).sessions == 1
    assert len(sessions(Listens.read(out))) == 1


# listens that were played for a moment only


def played(seconds: object) -> str:
    line = json.loads(listen(1, START, "Air", sent=[mbid(1)]))
    line["track_metadata"]["additional_info"]["duration_played"] = seconds
    return json.dumps(line)


def test_listens_shorter_than_asked_for_are_dropped_by_the_rule_skipped(tmp_path: Path) -> None:
    lines = [played(seconds) for seconds in (29, 30.0, "200", None, "a while", 10**400)]
    write_dump(tmp_path / "dump.tar", {"2020/1": lines})
    assert read_listens(tmp_path, listens_params())[1].plays == 6
    listens, report = read_listens(tmp_path, listens_params(min_played_seconds=30), GAP)
    assert dropped(report) == {"skipped": 1}
    assert (report.rows, report.plays, sessions(listens)) == (6, 5, [(0, {1: 5})])
    write_dump(tmp_path / "dump.tar", {"2020/1": lines[:1]})
    with pytest.raises(DataError, match=r"\(1 skipped\); lower listens\.min_played_seconds"):
        read_listens(tmp_path, listens_params(min_played_seconds=30))


def test_a_listen_that_the_player_calls_skipped_is_dropped() -> None:
    frame = pl.LazyFrame(
        {
            LINE: [1, 2, 3, 4],
            "malformed": False,
            "listener": "u",
            "mbid": "",
            "name": "Air",
            "seconds": [START, START, START - 10**9, None],
            "skipped": [True, None, True, True],
        }
    )
    rules = ListenRules(period=listens_params(window={"from": "2000-01-01", "to": ""}).window)
    counts = ListenCounts()
    listens = select_listens(frame, rules, counts)
    assert listens.select(LINE, "malformed").rows() == [(2, False), (4, True)]
    assert (counts.inside, counts.outside, counts.skipped) == (1, 1, 1)


# bad input


def test_sessions_need_times(tmp_path: Path) -> None:
    found = r"similarity\.basket: session, but lastfm_360k has no times; set it to listener"
    with pytest.raises(ParamsError, match=found):
        read_listens(write_lastfm(tmp_path, "u\t\tAir\t1\n"), listens_params(), GAP)
    table = pl.DataFrame({"listener": ["u"], "artist": ["Air"], "plays": [1]})
    write_table(tmp_path / "plays.csv", table)
    with pytest.raises(ParamsError, match=r"similarity\.basket: session, but table has no times"):
        read_listens(tmp_path / "plays.csv", listens_params(), GAP)


def test_the_gap_is_in_minutes_and_only_of_sessions() -> None:
    assert BasketParams(basket="session", session_gap_minutes=0.5).session_gap == 30
    assert BasketParams(basket="listener", session_gap_minutes=30).session_gap is None


def test_sessions_that_do_not_fit_their_artists_are_refused(tmp_path: Path) -> None:
    source = write_scrobbles(tmp_path / "raw", [("u", 0, 1)])
    read_listens(source, listens_params(), GAP)[0].write(tmp_path / "out")
    table = pl.DataFrame({"listener": [0], "session": [0], "artist": [7], "plays": [1]})
    table.write_parquet(tmp_path / "out" / "sessions.parquet")
    forget_checksums(tmp_path / "out")
    with pytest.raises(DataError, match=r"sessions\.parquet: is not a table of plays"):
        Listens.read(tmp_path / "out")

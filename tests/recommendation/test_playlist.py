"""The order of a playlist: its rules hold for any recordings, and planted ways are found."""

import itertools
import tracemalloc
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.support.planted_catalogue import unit_rows
from twinear.base.errors import DataError
from twinear.catalogue.head import CosineHead, Head, L1Head
from twinear.recommendation import playlist
from twinear.recommendation.playlist import (
    PlaylistEnd,
    PlaylistEntry,
    PlaylistOrder,
    PlaylistSource,
    Recordings,
    identify_recordings,
    make_playlist,
    nearest_rows,
    order_playlist,
)

COSINE = CosineHead(scale=10.0, bias=-5.0)
L1 = L1Head(weight=(1.0,) * 8, bias=3.0)
UNITS = 8


def entry(at: int, artist: str = "", title: str = "", sha256: str = "") -> PlaylistEntry:
    return PlaylistEntry(
        file=Path(f"/music/{at}.flac"),
        artist=artist or f"artist {at}",
        name=artist.title(),
        title=title or f"title {at}",
        seconds=180.0,
        sha256=sha256,
    )


def recordings(embeddings: np.ndarray, artists: np.ndarray | None = None) -> Recordings:
    rows = np.arange(len(embeddings))
    return Recordings(
        embeddings=embeddings.astype(np.float32),
        artists=rows if artists is None else artists,
        identity=rows,
    )


def gradient(n: int, seed: int = 0, head: Head = COSINE) -> tuple[np.ndarray, np.ndarray]:
    """Recordings along a way between two sounds, with noise; and where each stands on it."""
    rng = np.random.default_rng(seed)
    at = np.sort(rng.random(n))
    at[[0, -1]] = 0, 1
    if head is COSINE:
        angle = at * np.pi / 2
        way = np.column_stack([np.cos(angle), np.sin(angle), np.zeros((n, UNITS - 2))])
        return unit_rows(way + 0.05 * rng.normal(size=way.shape)), at
    return np.outer(at, 4 * np.ones(UNITS)) + 0.05 * rng.normal(size=(n, UNITS)), at


@pytest.mark.parametrize("head", [COSINE, L1], ids=["cosine", "l1"])
def test_a_path_moves_along_a_planted_gradient_in_near_steps(head: Head) -> None:
    embeddings, at = gradient(400, head=head)
    order = order_playlist(recordings(embeddings), head.logit, 0, 399, 12)
    places = at[order.rows]
    assert places[0] == 0
    assert places[-1] == 1
    assert (np.diff(places) > 0).all()
    assert np.diff(places).max() < 2 / 11  # even steps are 1 / 11
    assert order.nearer.min() > 0.8
    assert order.scores.min() > order.random_score


def test_a_playlist_without_an_end_stays_among_the_sounds_of_its_start() -> None:
    rng = np.random.default_rng(0)
    cluster = np.repeat(np.arange(6), 40)
    centres = rng.normal(size=(6, UNITS))
    embeddings = unit_rows(centres[cluster] + 0.2 * rng.normal(size=(240, UNITS)))
    artists = rng.integers(0, 80, 240)
    order = order_playlist(recordings(embeddings, artists), COSINE.logit, 50, None, 20)
    assert order.rows[0] == 50
    assert set(cluster[order.rows]) == {1}
    assert order.nearer.min() > 0.8


def test_the_longest_step_is_shorter_than_of_the_nearest_to_each_waypoint() -> None:
    embeddings, _ = gradient(200)
    artists = np.random.default_rng(1).integers(0, 20, 200)
    artists[[0, -1]] = 0, 1
    order = order_playlist(recordings(embeddings, artists), COSINE.logit, 0, 199, 12)
    greedy = [0]
    for waypoint in playlist._waypoints(embeddings[0], embeddings[199], 12)[1:-1]:
        scores = embeddings @ waypoint
        scores[[*greedy, 199]] = -1
        scores[artists == artists[greedy[-1]]] = -1
        greedy.append(int(scores.argmax()))
    greedy.append(199)
    steps = (embeddings[greedy[:-1]] * embeddings[greedy[1:]]).sum(axis=1)
    assert order.scores.min() > 1 / (1 + np.exp(5 - 10 * steps.min()))


@st.composite
def asked(draw: st.DrawFn) -> tuple[list[int], list[int], int | None, int]:
    """Artists and identities of a few recordings, an end or none, a length."""
    n = draw(st.integers(2, 7))
    artists = draw(st.lists(st.integers(0, 3), min_size=n, max_size=n))
    identity = draw(st.lists(st.integers(0, 2 * n), min_size=n, max_size=n))
    # copies of one recording are by one artist
    artists = [artists[identity.index(each)] for each in identity]
    return artists, identity, draw(st.none() | st.integers(1, n - 1)), draw(st.integers(2, 8))


def is_allowed(rows: tuple[int, ...], artists: list[int], identity: list[int]) -> bool:
    return len({identity[row] for row in rows}) == len(rows) and all(
        artists[a] != artists[b] for a, b in itertools.pairwise(rows)
    )


def exists(artists: list[int], identity: list[int], end: int | None, length: int) -> bool:
    ends = () if end is None else (end,)
    between = itertools.permutations(range(1, len(artists)), length - 1 - len(ends))
    return any(is_allowed((0, *rows, *ends), artists, identity) for rows in between)


@given(asked(), st.sampled_from([COSINE, L1]), st.integers(0, 9))
def test_a_playlist_keeps_the_rules_and_is_found_wherever_one_exists(
    asked: tuple[list[int], list[int], int | None, int], head: Head, seed: int
) -> None:
    artists, identity, end, length = asked
    embeddings = unit_rows(np.random.default_rng(seed).normal(size=(len(artists), UNITS)))
    some = Recordings(embeddings=embeddings, artists=np.array(artists), identity=np.array(identity))
    if not exists(artists, identity, end, length):
        with pytest.raises(DataError, match="playlist"):
            order_playlist(some, head.logit, 0, end, length)
        return
    order = order_playlist(some, head.logit, 0, end, length)
    assert len(order.rows) == length
    assert order.rows[0] == 0
    assert end is None or order.rows[-1] == end
    assert is_allowed(tuple(order.rows.tolist()), artists, identity)
    between = head.logit(embeddings[order.rows[:-1]], embeddings[order.rows[1:]]).diagonal()
    np.testing.assert_allclose(order.scores, 1 / (1 + np.exp(-between)), rtol=1e-4)


@given(st.integers(0, 99), st.booleans())
def test_the_order_does_not_depend_on_how_recordings_and_artists_are_numbered(
    seed: int, has_end: bool
) -> None:
    rng = np.random.default_rng(seed)
    embeddings = unit_rows(rng.normal(size=(40, UNITS)))
    artists = rng.integers(0, 15, 40)
    artists[1] = 15
    end = 1 if has_end else None
    order = order_playlist(recordings(embeddings, artists), COSINE.logit, 0, end, 8)
    shuffled, names = rng.permutation(40), rng.permutation(100)
    again = order_playlist(
        recordings(embeddings[shuffled], names[artists[shuffled]]),
        COSINE.logit,
        int(np.flatnonzero(shuffled == 0)[0]),
        int(np.flatnonzero(shuffled == 1)[0]) if has_end else None,
        8,
    )
    assert shuffled[again.rows].tolist() == order.rows.tolist()


def test_of_many_artists_one_who_made_almost_everything_does_not_block_the_way() -> None:
    embeddings, _ = gradient(3000)
    artists = np.where(np.arange(3000) < 25, np.arange(3000), 99)  # the others are at the start
    order = order_playlist(recordings(embeddings, artists), COSINE.logit, 0, 2999, 20)
    assert (np.diff(artists[order.rows]) != 0).all()


def test_an_artist_of_half_the_recordings_is_not_left_for_the_end() -> None:
    artists = np.array([0] * 40 + [1, 2] * 20)
    embeddings = unit_rows(np.random.default_rng(0).normal(size=(80, UNITS)))
    order = order_playlist(recordings(embeddings, artists), COSINE.logit, 0, None, 80)
    assert sorted(order.rows) == list(range(80))
    assert (np.diff(artists[order.rows]) != 0).all()


def test_a_long_step_is_worse_than_a_longer_way_in_even_steps() -> None:
    # the steps by 1 and 2 are 1, 1, 7; those by 3 and 4 are 4.6, 3, 4.6
    line = np.array([[0, 0], [1, 0], [2, 0], [3, 1.6], [6, 1.6], [9, 0]])
    head = L1Head(weight=(1.0, 1.0), bias=0.0)
    order = order_playlist(recordings(line), head.logit, 0, 5, 4)
    assert order.rows.tolist() == [0, 3, 4, 5]


def test_an_artist_returns_later_than_others_who_are_a_little_farther() -> None:
    rng = np.random.default_rng(0)
    centre = np.eye(UNITS)[0]
    apart = np.repeat([0.05, 0.15, 1.0], [30, 30, 60])
    embeddings = unit_rows(centre + apart[:, None] * rng.normal(size=(120, UNITS)))
    artists = np.array([0, 1] * 15 + list(range(2, 92)))
    order = order_playlist(recordings(embeddings, artists), COSINE.logit, 0, None, 10)
    assert order.rows.max() < 60  # none of those that are far
    assert len(set(artists[order.rows])) == 10


@pytest.mark.parametrize(
    ("artists", "end", "length", "said"),
    [
        ([0, 1, 2], None, 1, r"length 1.*at least 2"),
        ([0, 1, 2], 0, 3, r"the same recording.*another end"),
        ([0, 0, 0], None, 2, r"all 3 recordings are of one artist"),
        ([0, 1, 2], None, 9, r"3 recordings of 3 artists are too few for 9.*ask for 3"),
        ([0, 1, 0, 0], None, 4, r"too few for 4.*ask for 3"),
        ([0, 0, 1], 1, 2, r"3 recordings of 2 artists are too few for 2"),
    ],
)
def test_an_impossible_playlist_is_refused_with_what_is_possible(
    artists: list[int], end: int | None, length: int, said: str
) -> None:
    some = recordings(np.eye(len(artists), UNITS), np.array(artists))
    with pytest.raises(DataError, match=said):
        order_playlist(some, COSINE.logit, 0, end, length)


def test_recordings_that_all_sound_the_same_are_put_in_some_order() -> None:
    order = order_playlist(recordings(np.ones((5, UNITS)) / UNITS**0.5), COSINE.logit, 2, None, 5)
    assert sorted(order.rows) == [0, 1, 2, 3, 4]
    assert np.ptp(order.scores) < 1e-6


def test_copies_are_known_by_file_audio_or_title_also_through_each_other() -> None:
    entries = [
        entry(0, "air", "Sexy Boy", "a"),
        entry(1, "air", "Sexy Boy (Remastered 2015)", "b"),  # the title of 0
        entry(2, "air", "La Femme d'Argent", "b"),  # the audio of 1, with another title
        entry(3, "air", "Sexy Boy (Live)", "c"),
        entry(4, "other", "Sexy Boy", "d"),
        entry(0, "air", "Talisman"),  # the file of 0
    ]
    assert identify_recordings(entries).tolist() == [0, 0, 0, 1, 2, 0]
    assert identify_recordings([]).tolist() == []


def test_the_nearest_by_blocks_are_those_of_all_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(playlist, "BLOCK", 7)
    rng = np.random.default_rng(0)
    embeddings = unit_rows(rng.normal(size=(100, UNITS)))
    waypoints, artists = unit_rows(rng.normal(size=(3, UNITS))), rng.integers(0, 5, 100)
    found = nearest_rows(embeddings, artists, waypoints, COSINE.logit, n=20, per_artist=5)
    for waypoint, rows in zip(waypoints, found, strict=True):
        expected: list[int] = []
        for row in np.argsort(-(embeddings @ waypoint)):
            own = [other for other in expected if artists[other] == artists[row]]
            if len(own) < 5 and len(expected) < 20:
                expected.append(int(row))
        assert rows.tolist() == expected


def source(embeddings: np.ndarray, artists: np.ndarray) -> PlaylistSource:
    return PlaylistSource(
        embeddings=embeddings,
        artists=artists,
        entries=lambda rows: [entry(row, f"artist {artists[row]}") for row in rows],
        logit=COSINE.logit,
    )


def test_of_many_recordings_those_near_the_way_are_enough(monkeypatch: pytest.MonkeyPatch) -> None:
    embeddings, _ = gradient(1500)
    artists = np.random.default_rng(0).integers(0, 300, 1500)
    ends = [
        PlaylistEnd(entry=entry(row, f"artist {artists[row]}"), embedding=embeddings[row])
        for row in (0, 1499)
    ]
    of_all = make_playlist(source(embeddings, artists), ends[0], ends[1], 10)
    monkeypatch.setattr(playlist, "FEW", 100)
    of_near = make_playlist(source(embeddings, artists), ends[0], ends[1], 10)
    assert of_near.entries == of_all.entries
    assert len({each.file for each in of_all.entries}) == 10


def test_the_memory_does_not_grow_with_the_square_of_the_recordings() -> None:
    n = 100_000
    embeddings = unit_rows(np.random.default_rng(0).normal(size=(n, UNITS)))
    artists = np.arange(n) % 9000
    start = PlaylistEnd(entry=entry(0), embedding=embeddings[0])
    tracemalloc.start()
    made = make_playlist(source(embeddings, artists), start, None, 5)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert len(made.entries) == 5
    assert peak < 40 * n * UNITS


def test_a_copy_of_a_clip_under_another_name_does_not_follow_it() -> None:
    embeddings, _ = gradient(50)
    artists = np.arange(50)
    copy = PlaylistEnd(entry=entry(999, "unknown"), embedding=embeddings[20] * 1.00001)
    made = make_playlist(source(embeddings, artists), copy, None, 6)
    assert made.entries[0].file == copy.entry.file
    assert Path("/music/20.flac") not in {each.file for each in made.entries}


def order_of(seed: int) -> PlaylistOrder:
    embeddings, _ = gradient(100, seed)
    return order_playlist(recordings(embeddings), COSINE.logit, 0, 99, 7)


def test_the_same_recordings_give_the_same_playlist() -> None:
    first, again = order_of(3), order_of(3)
    assert first.rows.tolist() == again.rows.tolist()
    assert first.nearer.tolist() == again.nearer.tolist()

"""Deezer in its documented shapes, with its errors in answers of status 200 and stale addresses."""

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.support.services import FakeArtist, FakeClock, FakeServices, clip_of, reply
from twinear.acquisition.network.client import Client, user_agent
from twinear.acquisition.network.errors import (
    Away,
    Expired,
    Malformed,
    PreviewError,
    Refused,
    Unknown,
)
from twinear.acquisition.network.response_cache import Answers
from twinear.acquisition.previews.services import deezer
from twinear.acquisition.previews.services.deezer import MANNERS, Deezer
from twinear.acquisition.previews.services.matching import Row
from twinear.acquisition.previews.source import Candidate, Wanted

ARTISTS = (
    FakeArtist(name="Radiohead", deezer=399, fans=3000, titles=("Creep", "Airbag", "Lucky")),
    FakeArtist(name="Nirvana", deezer=1, fans=900, album="Nevermind", titles=("Lithium",)),
    FakeArtist(name="Nirvana", deezer=2, fans=100, album="All of Us", titles=("Rainbow Chaser",)),
    FakeArtist(name="NIRVANA!", deezer=3, fans=5, titles=("Other",)),
    FakeArtist(name="Air", deezer=10, fans=5000),
    FakeArtist(name="Air", deezer=11, fans=20),
    FakeArtist(name="Air Supply", deezer=12, fans=90000),
    FakeArtist(name="Sigur Rós", deezer=20),
    FakeArtist(name="!!!", deezer=21),
    FakeArtist(name="椎名林檎", deezer=22, titles=("丸の内サディスティック", "\x00  ", "")),
    FakeArtist(name="Mute", deezer=30, without_preview=(0, 2)),
    FakeArtist(name="Nothing", deezer=31, titles=()),
)


@pytest.fixture
def world() -> Iterator[FakeServices]:
    with FakeServices(*ARTISTS, clock=FakeClock()) as services:
        yield services


@pytest.fixture
def source(world: FakeServices, tmp_path: Path) -> Iterator[Deezer]:
    with _client(world, tmp_path / "answers") as client:
        yield Deezer(client)


def _client(world: FakeServices, answers: Path) -> Client:
    agent = user_agent("someone@example.org")
    kept = Answers(answers)
    return Client("deezer", world.url_of("deezer"), agent, MANNERS, answers=kept, clock=world.clock)


def wanted(name: str, *titles: str, deezer: str = "") -> Wanted:
    ids = {"deezer": deezer} if deezer else {}
    return Wanted(artist="x", name=name, mbid="", titles=titles, ids=ids)


def found(source: Deezer, artist: Wanted) -> Candidate:
    candidate = source.find(artist)
    assert candidate
    return candidate


# who is who


def test_an_artist_that_musicbrainz_links_to_is_certain(source: Deezer) -> None:
    candidate = found(source, wanted("On a Friday", deezer="399"))
    assert candidate == Candidate(
        artist_id="399",
        name="Radiohead",
        source="deezer",
        popularity=3000,
        confidence=1.0,
        why="linked by MusicBrainz",
    )


@pytest.mark.parametrize("link", ["12345", "../track/1", "x" * 99, "1?q=2"])
def test_a_link_that_leads_nowhere_is_not_the_end(source: Deezer, link: str) -> None:
    candidate = found(source, wanted("Radiohead", deezer=link))
    assert (candidate.artist_id, candidate.confidence) == ("399", 0.9)


@pytest.mark.parametrize("name", ["RADIOHEAD", "radiohead ", "The Radiohead", "Sigur Ros", "!!!"])
def test_the_only_one_of_a_name_is_found_however_it_is_spelt(source: Deezer, name: str) -> None:
    assert found(source, wanted(name)).confidence == 0.9


def test_any_script_is_found(source: Deezer) -> None:
    assert found(source, wanted("椎名林檎")).artist_id == "22"


@pytest.mark.parametrize("name", ["Radio", "Nobody of that name", "a&b=c#d?e/f%2f", "\ud800"])
def test_a_name_that_nobody_bears_is_nobody(source: Deezer, name: str) -> None:
    assert source.find(wanted(name)) is None


@pytest.mark.parametrize("name", ["", "  ", "\t\n"])
def test_a_name_that_is_empty_is_not_asked_for(
    world: FakeServices, source: Deezer, name: str
) -> None:
    assert source.find(wanted(name)) is None
    assert world.count() == 0


def test_titles_tell_artists_of_one_name_apart(source: Deezer) -> None:
    for title in ("All of Us", "rainbow chaser (Remastered) [Live]"):
        candidate = found(source, wanted("Nirvana", "Unheard Of", title))
        assert (candidate.artist_id, candidate.confidence) == ("2", 0.95)
    assert candidate.why == "one of 3 of that name, by titles"


def test_of_several_of_a_name_one_may_be_far_more_popular(source: Deezer) -> None:
    candidate = found(source, wanted("Air"))
    assert (candidate.artist_id, candidate.confidence) == ("10", 0.7)
    assert candidate.why == "by far the most popular of 2 of that name"
    assert found(source, wanted("Air", "One")) == candidate  # a title that both have says nothing


@pytest.mark.parametrize("titles", [(), ("Unheard Of",), ("(Live)",)])
def test_else_it_is_a_guess_and_says_so(source: Deezer, titles: tuple[str, ...]) -> None:
    candidate = found(source, wanted("Nirvana", *titles))
    assert (candidate.artist_id, candidate.confidence) == ("1", 0.5)
    assert candidate.why == "a guess among 3 of that name"


# previews


def test_previews_come_in_the_order_of_the_service(source: Deezer) -> None:
    candidate = found(source, wanted("Radiohead"))
    previews = source.previews(candidate, 2)
    assert [each.title for each in previews] == ["Creep", "Airbag"]
    first = previews[0]
    assert (first.source, first.source_artist, first.source_id) == ("deezer", "399", "39900")
    assert first.duration_seconds == 200.0
    assert first.terms == source.terms
    assert len(source.previews(candidate, 50)) == 3


def test_what_has_no_preview_is_left_out(source: Deezer) -> None:
    titles = [each.title for each in source.previews(found(source, wanted("Mute")), 9)]
    assert titles == ["Two", "Four", "Five"]
    assert source.previews(found(source, wanted("Nothing")), 9) == []


def test_titles_are_on_one_line(source: Deezer) -> None:
    titles = [each.title for each in source.previews(found(source, wanted("椎名林檎")), 9)]
    assert titles == ["丸の内サディスティック", "", ""]


def test_an_artist_without_recordings_has_no_previews(world: FakeServices, source: Deezer) -> None:
    candidate = found(source, wanted("Radiohead"))
    world.script("deezer", "no data")
    assert source.previews(candidate, 9) == []


def test_recordings_that_only_feature_the_artist_are_left_out(
    source: Deezer, monkeypatch: pytest.MonkeyPatch
) -> None:
    rows: list[Row] = [
        {"id": 1, "preview": "http://x/1", "artist": {"id": 5}},
        {"id": 2, "preview": "http://x/2", "artist": {"id": 399}},
        {"id": "../3", "preview": "http://x/3", "artist": {"id": 399}},
        {"id": 4, "preview": None, "artist": None},
    ]
    monkeypatch.setattr(source, "_top", lambda artist_id: rows)
    previews = source.previews(found(source, wanted("Radiohead")), 9)
    assert [each.source_id for each in previews] == ["2"]


# audio


def test_audio_is_fetched_from_the_signed_address(
    world: FakeServices, source: Deezer, tmp_path: Path
) -> None:
    preview = source.previews(found(source, wanted("Radiohead")), 1)[0]
    source.download(preview, tmp_path / "a.mp3")
    assert (tmp_path / "a.mp3").read_bytes() == clip_of(39900, ".mp3")
    assert world.count("deezer", "/track") == 0


@pytest.mark.parametrize("wait", [890, 1000])
def test_an_address_that_has_expired_is_renewed_without_trying(
    world: FakeServices, source: Deezer, tmp_path: Path, wait: float
) -> None:
    preview = source.previews(found(source, wanted("Radiohead")), 1)[0]
    world.clock.sleep(wait)
    source.download(preview, tmp_path / "a.mp3")
    assert (world.count("cdn"), world.count("deezer", "/track/39900")) == (1, 1)


def test_an_address_that_is_refused_is_renewed(
    world: FakeServices, source: Deezer, tmp_path: Path
) -> None:
    preview = source.previews(found(source, wanted("Radiohead")), 1)[0]
    world.script("cdn", "403")
    source.download(preview, tmp_path / "a.mp3")
    assert (tmp_path / "a.mp3").read_bytes() == clip_of(39900, ".mp3")
    assert world.count("deezer", "/track/39900") == 1


def test_a_preview_known_from_disk_is_renewed(
    world: FakeServices, source: Deezer, tmp_path: Path
) -> None:
    artist = wanted("Radiohead")
    source.previews(found(source, artist), 1)
    with _client(world, tmp_path / "answers") as client:
        again = Deezer(client)
        preview = again.previews(found(again, artist), 1)[0]
        assert (world.count(), preview.url.endswith("/cdn/deezer/39900.mp3")) == (2, True)
        again.download(preview, tmp_path / "a.mp3")
    assert (tmp_path / "a.mp3").read_bytes() == clip_of(39900, ".mp3")
    assert (world.count("cdn"), world.count("deezer", "/track/39900")) == (1, 1)


def test_no_signature_is_kept(source: Deezer, tmp_path: Path) -> None:
    source.previews(found(source, wanted("Nirvana", "All of Us")), 9)
    files = [each.read_text() for each in tmp_path.rglob("*.json")]
    assert len(files) == 4
    assert not re.search("hmac|hdnea|exp=", " ".join(files))


def test_an_address_that_stays_refused_is_an_error(
    world: FakeServices, source: Deezer, tmp_path: Path
) -> None:
    preview = source.previews(found(source, wanted("Radiohead")), 1)[0]
    world.script("cdn", "403", "403")
    with pytest.raises(Expired, match="deezer preview: is no longer at its address"):
        source.download(preview, tmp_path / "a.mp3")
    assert not (tmp_path / "a.mp3").exists()


@pytest.mark.parametrize(
    ("answer", "message"),
    [
        ({"id": 39900, "preview": ""}, "deezer /track/39900: has no preview any more"),
        ({"error": {"code": 800}}, "deezer: knows no such thing"),
        ({"id": 39900}, "has no preview any more"),
    ],
)
def test_a_preview_that_is_gone_is_an_error(
    world: FakeServices,
    source: Deezer,
    tmp_path: Path,
    answer: dict[str, Any],
    message: str,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    preview = source.previews(found(source, wanted("Radiohead")), 1)[0]
    world.script("cdn", "403")
    monkeypatch.setattr(world, "_deezer", lambda seen: reply(answer))
    with pytest.raises(Unknown, match=message):
        source.download(preview, tmp_path / "a.mp3")


# errors with status 200


@pytest.mark.parametrize(("fault", "seconds"), [("quota", 5), ("busy", 0.5)])
def test_quota_and_busy_are_waited_for(
    world: FakeServices, source: Deezer, fault: str, seconds: float
) -> None:
    world.script("deezer", fault, fault)
    assert found(source, wanted("Radiohead")).artist_id == "399"
    times = [each.at for each in world.requests("deezer")]
    assert len(times) == 3
    assert min(times[1] - times[0], times[2] - times[1]) >= seconds


@pytest.mark.parametrize(
    ("fault", "kind", "message"),
    [
        ("quota", Away, "says that its quota is used up"),
        ("busy", Away, "is busy"),
        ("odd error", Malformed, "answers an error without a code"),
        ("items limit", Refused, "answers error 100: too many items asked for"),
        ("permission", Refused, "answers error 200: no permission"),
        ("token", Refused, "answers error 300: a token is wanted"),
        ("parameter", Refused, "answers error 500: a wrong parameter"),
        ("missing", Refused, "answers error 501: a missing parameter"),
        ("query", Refused, "answers error 600: a query that is none"),
        ("no data", Unknown, "knows no such thing"),
        ("404", Unknown, "answers 404"),
        ("no rows", Malformed, "/search/artist: has no list 'data'"),
    ],
)
def test_each_error_has_its_meaning(
    world: FakeServices, source: Deezer, fault: str, kind: type[PreviewError], message: str
) -> None:
    world.script("deezer", *[fault] * 5)
    with pytest.raises(kind, match=rf"^deezer.*: .*{message}|^deezer {message}"):
        source.find(wanted("Radiohead"))
    assert world.count() == (5 if kind in (Away, Malformed) and fault != "no rows" else 1)


def test_rows_that_are_none_are_passed_over(world: FakeServices, source: Deezer) -> None:
    world.script("deezer", "odd rows", "odd rows")
    assert source.find(wanted("Radiohead")) is None
    assert source.previews(_candidate("399"), 9) == []


def _candidate(artist_id: str) -> Candidate:
    return Candidate(
        artist_id=artist_id, name="x", source="deezer", popularity=0, confidence=1.0, why=""
    )


def test_errors_are_not_kept(world: FakeServices, source: Deezer) -> None:
    world.script("deezer", "token", "no data")
    with pytest.raises(Refused):
        source.find(wanted("Radiohead"))
    with pytest.raises(Unknown):
        source.find(wanted("Radiohead"))
    assert source.find(wanted("Radiohead"))


@pytest.mark.parametrize(
    ("url", "fresh"),
    [
        ("", False),
        ("https://a.example/x.mp3", False),
        ("https://a.example/x.mp3?hdnea=exp=1031~acl=/*", True),
        ("https://a.example/x.mp3?hdnea=exp%3D1029~acl=/*", False),
        ("https://a.example/x.mp3?signed=otherwise", True),
    ],
)
def test_whether_an_address_is_fresh(url: str, fresh: bool) -> None:
    assert deezer._is_fresh(url, 1000.0) is fresh

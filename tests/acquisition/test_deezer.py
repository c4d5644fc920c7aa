"""Deezer in its documented shapes, with its errors in answers of status 200 and stale addresses."""

import re
from pathlib import Path
from typing import Any

import pytest

from tests.acquisition.conftest import Connect
from tests.support.fetching import candidate_of, find, requested
from tests.support.services import FakeArtist, FakeServices, clip_of, reply
from twinear.acquisition.network.errors import (
    ExpiredUrlError,
    InvalidContentError,
    NotFoundError,
    RequestRefusedError,
    ServiceUnavailableError,
    SourceError,
    ThrottledError,
)
from twinear.acquisition.previews.services import deezer
from twinear.acquisition.previews.services.deezer import REQUEST_POLICY, Deezer
from twinear.acquisition.previews.services.matching import Row
from twinear.acquisition.previews.source import Candidate

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
def source(connect: Connect) -> Deezer:
    return Deezer(connect("deezer", REQUEST_POLICY))


# who is who


def test_an_artist_that_musicbrainz_links_to_is_certain(source: Deezer) -> None:
    candidate = find(source, requested("On a Friday", deezer="399"))
    assert candidate == Candidate(
        artist_id="399",
        name="Radiohead",
        confidence=1.0,
        why="linked by MusicBrainz",
    )


@pytest.mark.parametrize("link", ["12345", "../track/1", "x" * 99, "1?q=2"])
def test_a_link_that_leads_nowhere_is_not_the_end(source: Deezer, link: str) -> None:
    candidate = find(source, requested("Radiohead", deezer=link))
    assert (candidate.artist_id, candidate.confidence) == ("399", 0.9)


@pytest.mark.parametrize("name", ["RADIOHEAD", "radiohead ", "The Radiohead", "Sigur Ros", "!!!"])
def test_the_only_one_of_a_name_is_found_however_it_is_spelt(source: Deezer, name: str) -> None:
    assert find(source, requested(name)).confidence == 0.9


def test_any_script_is_found(source: Deezer) -> None:
    assert find(source, requested("椎名林檎")).artist_id == "22"


@pytest.mark.parametrize("name", ["Radio", "Nobody of that name", "a&b=c#d?e/f%2f", "\ud800"])
def test_a_name_that_nobody_bears_is_nobody(source: Deezer, name: str) -> None:
    assert source.find(requested(name)) is None


@pytest.mark.parametrize("name", ["", "  ", "\t\n"])
def test_a_name_that_is_empty_is_not_asked_for(
    world: FakeServices, source: Deezer, name: str
) -> None:
    assert source.find(requested(name)) is None
    assert world.count() == 0


def test_titles_tell_artists_of_one_name_apart(source: Deezer) -> None:
    for title in ("All of Us", "rainbow chaser (Remastered) [Live]"):
        candidate = find(source, requested("Nirvana", titles=("Unheard Of", title)))
        assert (candidate.artist_id, candidate.confidence) == ("2", 0.95)
    assert candidate.why == "one of 3 of that name, by titles"


def test_of_several_of_a_name_one_may_be_far_more_popular(source: Deezer) -> None:
    candidate = find(source, requested("Air"))
    assert (candidate.artist_id, candidate.confidence) == ("10", 0.7)
    assert candidate.why == "by far the most popular of 2 of that name"
    # a title that both have decides nothing
    assert find(source, requested("Air", titles=["One"])) == candidate


@pytest.mark.parametrize("titles", [(), ("Unheard Of",), ("(Live)",)])
def test_else_it_is_a_guess_and_says_so(source: Deezer, titles: tuple[str, ...]) -> None:
    candidate = find(source, requested("Nirvana", titles=titles))
    assert (candidate.artist_id, candidate.confidence) == ("1", 0.5)
    assert candidate.why == "a guess among 3 of that name"


# previews


def test_previews_come_in_the_order_of_the_service(source: Deezer) -> None:
    candidate = find(source, requested("Radiohead"))
    previews = source.previews(candidate, 2)
    assert [preview.title for preview in previews] == ["Creep", "Airbag"]
    first = previews[0]
    assert first.source_id == "39900"
    assert first.duration_seconds == 200.0
    assert first.terms == source.terms
    assert len(source.previews(candidate, 50)) == 3


def test_what_has_no_preview_is_left_out(source: Deezer) -> None:
    titles = [preview.title for preview in source.previews(find(source, requested("Mute")), 9)]
    assert titles == ["Two", "Four", "Five"]
    assert source.previews(find(source, requested("Nothing")), 9) == []


def test_titles_are_on_one_line(source: Deezer) -> None:
    titles = [preview.title for preview in source.previews(find(source, requested("椎名林檎")), 9)]
    assert titles == ["丸の内サディスティック", "", ""]


def test_an_artist_without_recordings_has_no_previews(world: FakeServices, source: Deezer) -> None:
    candidate = find(source, requested("Radiohead"))
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
    previews = source.previews(find(source, requested("Radiohead")), 9)
    assert [preview.source_id for preview in previews] == ["2"]


# audio


def test_audio_is_fetched_from_the_signed_address(
    world: FakeServices, source: Deezer, tmp_path: Path
) -> None:
    preview = source.previews(find(source, requested("Radiohead")), 1)[0]
    source.download(preview, tmp_path / "a.mp3")
    assert (tmp_path / "a.mp3").read_bytes() == clip_of(39900, ".mp3")
    assert world.count("deezer", "/track") == 0


@pytest.mark.parametrize("wait", [890, 1000])
def test_an_address_that_has_expired_is_renewed_without_trying(
    world: FakeServices, source: Deezer, tmp_path: Path, wait: float
) -> None:
    preview = source.previews(find(source, requested("Radiohead")), 1)[0]
    world.clock.sleep(wait)
    source.download(preview, tmp_path / "a.mp3")
    assert (world.count("cdn"), world.count("deezer", "/track/39900")) == (1, 1)


def test_an_address_that_is_refused_is_renewed(
    world: FakeServices, source: Deezer, tmp_path: Path
) -> None:
    preview = source.previews(find(source, requested("Radiohead")), 1)[0]
    world.script("cdn", "403")
    source.download(preview, tmp_path / "a.mp3")
    assert (tmp_path / "a.mp3").read_bytes() == clip_of(39900, ".mp3")
    assert world.count("deezer", "/track/39900") == 1


def test_a_preview_known_from_disk_is_renewed(
    world: FakeServices, source: Deezer, connect: Connect, tmp_path: Path
) -> None:
    artist = requested("Radiohead")
    source.previews(find(source, artist), 1)
    again = Deezer(connect("deezer", REQUEST_POLICY))
    preview = again.previews(find(again, artist), 1)[0]
    assert (world.count(), preview.url.endswith("/cdn/deezer/39900.mp3")) == (2, True)
    again.download(preview, tmp_path / "a.mp3")
    assert (tmp_path / "a.mp3").read_bytes() == clip_of(39900, ".mp3")
    assert (world.count("cdn"), world.count("deezer", "/track/39900")) == (1, 1)


def test_no_signature_is_kept(source: Deezer, tmp_path: Path) -> None:
    source.previews(find(source, requested("Nirvana", titles=["All of Us"])), 9)
    files = [path.read_text() for path in tmp_path.rglob("*.json")]
    assert len(files) == 4
    assert not re.search("hmac|hdnea|exp=", " ".join(files))


def test_an_address_that_stays_refused_is_an_error(
    world: FakeServices, source: Deezer, tmp_path: Path
) -> None:
    preview = source.previews(find(source, requested("Radiohead")), 1)[0]
    world.script("cdn", "403", "403")
    with pytest.raises(ExpiredUrlError, match="deezer preview: is no longer at its URL"):
        source.download(preview, tmp_path / "a.mp3")
    assert not (tmp_path / "a.mp3").exists()


@pytest.mark.parametrize(
    ("answer", "message"),
    [
        ({"id": 39900, "preview": ""}, "deezer /track/39900: no longer has a preview"),
        ({"error": {"code": 800}}, "deezer: has no such entry"),
        ({"id": 39900}, "no longer has a preview"),
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
    preview = source.previews(find(source, requested("Radiohead")), 1)[0]
    world.script("cdn", "403")
    monkeypatch.setattr(world, "_deezer", lambda seen: reply(answer))
    with pytest.raises(NotFoundError, match=message):
        source.download(preview, tmp_path / "a.mp3")


# errors with status 200


@pytest.mark.parametrize(("fault", "seconds"), [("quota", 5), ("busy", 0.5)])
def test_quota_and_busy_are_waited_for(
    world: FakeServices, source: Deezer, fault: str, seconds: float
) -> None:
    world.script("deezer", fault, fault)
    assert find(source, requested("Radiohead")).artist_id == "399"
    times = [request.at for request in world.requests("deezer")]
    assert len(times) == 3
    assert min(times[1] - times[0], times[2] - times[1]) >= seconds


@pytest.mark.parametrize(
    ("fault", "kind", "message"),
    [
        ("quota", ThrottledError, "says that its quota is used up"),
        ("busy", ServiceUnavailableError, "is busy"),
        ("odd error", InvalidContentError, "answers an error without a code"),
        ("items limit", RequestRefusedError, "answers error 100: too many items requested"),
        ("permission", RequestRefusedError, "answers error 200: no permission"),
        ("token", RequestRefusedError, "answers error 300: a token is required"),
        ("parameter", RequestRefusedError, "answers error 500: wrong parameter"),
        ("missing", RequestRefusedError, "answers error 501: missing parameter"),
        ("query", RequestRefusedError, "answers error 600: invalid query"),
        ("no data", NotFoundError, "has no such entry"),
        ("404", NotFoundError, "answers 404"),
        ("no rows", InvalidContentError, "/search/artist: has no list 'data'"),
    ],
)
def test_each_error_has_its_meaning(
    world: FakeServices, source: Deezer, fault: str, kind: type[SourceError], message: str
) -> None:
    world.script("deezer", *[fault] * 5)
    with pytest.raises(kind, match=rf"^deezer.*: .*{message}|^deezer {message}"):
        source.find(requested("Radiohead"))
    retried = kind in (ServiceUnavailableError, ThrottledError, InvalidContentError)
    assert world.count() == (5 if retried and fault != "no rows" else 1)


def test_rows_that_are_none_are_passed_over(world: FakeServices, source: Deezer) -> None:
    world.script("deezer", "odd rows", "odd rows")
    assert source.find(requested("Radiohead")) is None
    assert source.previews(candidate_of("399"), 9) == []


def test_errors_are_not_kept(world: FakeServices, source: Deezer) -> None:
    world.script("deezer", "token", "no data")
    with pytest.raises(RequestRefusedError):
        source.find(requested("Radiohead"))
    with pytest.raises(NotFoundError):
        source.find(requested("Radiohead"))
    assert source.find(requested("Radiohead"))


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
    assert deezer._may_be_valid(url, 1000.0) is fresh

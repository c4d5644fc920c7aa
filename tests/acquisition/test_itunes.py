"""iTunes in its documented shapes: the artist in the first row, and 403 for too many requests."""

from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest

from tests.acquisition.conftest import Connect
from tests.support.fetching import candidate_of, find, requested
from tests.support.services import FakeArtist, FakeServices, clip_of, hammer, reply
from twinear.acquisition.network.errors import (
    ExpiredUrlError,
    InvalidContentError,
    NotFoundError,
    RequestRefusedError,
    ServiceUnavailableError,
    SourceError,
)
from twinear.acquisition.network.rate_limit import RateLimit
from twinear.acquisition.previews.services.itunes import REQUEST_POLICY, ITunes

ARTISTS = (
    FakeArtist(name="Björk", itunes=74, titles=("Hyperballad", "Jóga", "Army of Me")),
    FakeArtist(name="Nirvana", itunes=1, album="Nevermind", titles=("Lithium",)),
    FakeArtist(name="Nirvana", itunes=2, album="All of Us", titles=("Rainbow Chaser",)),
    FakeArtist(name="Mute", itunes=30, without_preview=(0, 2)),
    FakeArtist(name="Nothing", itunes=31, titles=()),
)


@pytest.fixture
def source(connect: Connect) -> ITunes:
    return ITunes(connect("itunes", REQUEST_POLICY))


def test_an_artist_that_musicbrainz_links_to_is_certain(source: ITunes) -> None:
    candidate = find(source, requested("Bjork Gudmundsdottir", itunes="74"))
    assert (candidate.artist_id, candidate.name, candidate.confidence) == ("74", "Björk", 1.0)


@pytest.mark.parametrize("link", ["12345", "7400", "../x", ""])
def test_a_link_that_leads_to_no_artist_is_not_the_end(source: ITunes, link: str) -> None:
    assert find(source, requested("Bjork", itunes=link)).confidence == 0.9


def test_the_store_of_one_country_is_asked_for_artists(world: FakeServices, source: ITunes) -> None:
    find(source, requested("Björk"))
    assert world.requests()[0].query == {
        "term": "Björk",
        "media": "music",
        "entity": "musicArtist",
        "attribute": "artistTerm",
        "country": "US",
        "limit": "50",
    }


@pytest.mark.parametrize("name", ["Bjork Trio", "", " ", "\ud800", "a&term=Björk"])
def test_a_name_that_nobody_bears_is_nobody(source: ITunes, name: str) -> None:
    assert source.find(requested(name)) is None


def test_names_are_ambiguous_and_titles_help(source: ITunes) -> None:
    candidate = find(source, requested("Nirvana"))
    assert (candidate.confidence, candidate.why) == (0.5, "a guess among 2 of that name")
    for title in ("All of us", "Rainbow Chaser"):
        candidate = find(source, requested("Nirvana", titles=[title]))
        assert (candidate.artist_id, candidate.confidence) == ("2", 0.95)


def test_the_first_row_is_the_artist_and_no_preview(source: ITunes) -> None:
    previews = source.previews(find(source, requested("Björk")), 9)
    assert [preview.title for preview in previews] == ["Hyperballad", "Jóga", "Army of Me"]
    first = previews[0]
    assert first.source_id == "7400"
    assert first.duration_seconds == 200.0
    assert "promote" in first.terms
    assert len(source.previews(find(source, requested("Björk")), 2)) == 2


def test_only_audio_is_offered(
    world: FakeServices, source: ITunes, monkeypatch: pytest.MonkeyPatch
) -> None:
    row = {"artistId": 74, "trackId": 1, "previewUrl": "http://x/1", "kind": "music-video"}
    rows = [row, {**row, "kind": "song"}, {**row, "kind": "song", "artistId": 75}]
    monkeypatch.setattr(world, "_itunes", lambda seen: reply({"results": rows}))
    assert len(source.previews(candidate_of("74"), 9)) == 1


def test_what_has_no_preview_is_left_out(source: ITunes) -> None:
    titles = [preview.title for preview in source.previews(find(source, requested("Mute")), 9)]
    assert titles == ["Two", "Four", "Five"]
    assert source.previews(find(source, requested("Nothing")), 9) == []


def test_an_artist_that_is_gone_has_no_previews(source: ITunes) -> None:
    assert source.previews(candidate_of("9"), 9) == []


def test_audio_is_fetched(world: FakeServices, source: ITunes, tmp_path: Path) -> None:
    preview = source.previews(find(source, requested("Björk")), 1)[0]
    source.download(preview, tmp_path / "a.m4a")
    assert (tmp_path / "a.m4a").read_bytes() == clip_of(7400, ".m4a")


@pytest.mark.parametrize("fault", ["403", "404"])
def test_an_address_that_is_no_longer_good_is_renewed(
    world: FakeServices, source: ITunes, tmp_path: Path, fault: str
) -> None:
    preview = source.previews(find(source, requested("Björk")), 1)[0]
    world.script("cdn", fault)
    source.download(preview, tmp_path / "a.m4a")
    assert world.requests("itunes")[-1].query["id"] == "7400"
    assert (tmp_path / "a.m4a").read_bytes() == clip_of(7400, ".m4a")


def test_an_address_that_stays_refused_is_an_error(
    world: FakeServices, source: ITunes, tmp_path: Path
) -> None:
    preview = source.previews(find(source, requested("Björk")), 1)[0]
    world.script("cdn", "403", "403")
    with pytest.raises(ExpiredUrlError):
        source.download(preview, tmp_path / "a.m4a")
    assert not (tmp_path / "a.m4a").exists()


@pytest.mark.parametrize(
    "rows", [[], [{"wrapperType": "track", "trackId": 7400}], [{"trackId": 1, "previewUrl": "x"}]]
)
def test_a_preview_that_is_gone_is_an_error(
    world: FakeServices,
    source: ITunes,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    rows: list[dict[str, Any]],
) -> None:
    preview = source.previews(find(source, requested("Björk")), 1)[0]
    world.script("cdn", "403")
    monkeypatch.setattr(world, "_itunes", lambda seen: reply({"results": rows}))
    with pytest.raises(NotFoundError, match="itunes 7400: no longer has a preview"):
        source.download(preview, tmp_path / "a.m4a")


@pytest.mark.parametrize("fault", ["403", "reset", "hang up", "429"])
def test_throttling_is_waited_for_longer_and_longer_by_all(
    world: FakeServices, source: ITunes, fault: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    pauses: list[float] = []  # of all threads
    pause = RateLimit.pause

    def paused(limit: RateLimit, seconds: float) -> None:
        pauses.append(seconds)
        pause(limit, seconds)

    monkeypatch.setattr(RateLimit, "pause", paused)
    world.script("itunes", *[fault] * 3)
    assert find(source, requested("Björk")).artist_id == "74"
    times = [request.at for request in world.requests()]
    waits = [after - before for before, after in pairwise(times)]
    assert [wait >= least for wait, least in zip(waits, (5, 10, 20), strict=True)] == [True] * 3
    assert waits == sorted(waits)
    assert len(pauses) == 3


def test_threads_wait_together_when_one_is_throttled(world: FakeServices, source: ITunes) -> None:
    world.script("itunes", "403")
    source.find(requested("Björk"))
    first = world.requests()[0].at
    hammered = hammer(lambda n: source.find(requested(f"Artist {n}")), 30)
    assert (hammered.answers, hammered.errors) == ([None] * 30, [])
    assert min(request.at for request in world.requests()[1:]) >= first + 5
    assert world.most("itunes", 60) <= 20


@pytest.mark.parametrize(
    ("fault", "kind", "requests"),
    [
        ("403", ServiceUnavailableError, 5),
        ("reset", ServiceUnavailableError, 5),
        ("html", InvalidContentError, 5),
        ("cut json", InvalidContentError, 5),
        ("400", RequestRefusedError, 1),
        ("no rows", InvalidContentError, 1),
    ],
)
def test_what_lasts_is_told(
    world: FakeServices, source: ITunes, fault: str, kind: type[SourceError], requests: int
) -> None:
    world.script("itunes", *[fault] * requests)
    with pytest.raises(kind, match=r"^itunes /search: "):
        source.find(requested("Björk"))
    assert world.count() == requests


def test_rows_that_are_none_are_passed_over(world: FakeServices, source: ITunes) -> None:
    world.script("itunes", "odd rows", "odd rows")
    assert source.find(requested("Björk")) is None
    assert source.previews(candidate_of("74"), 9) == []

"""Spotify tells who is who to those who have keys, and says plainly why it gives no audio."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.fetching import candidate_of, requested
from tests.support.services import FakeArtist, FakeServices, hammer, reply
from twinear.acquisition.network.errors import (
    InvalidContentError,
    NotFoundError,
    RequestRefusedError,
    ServiceUnavailableError,
)
from twinear.acquisition.previews.source import Candidate, Preview, Source
from twinear.acquisition.previews.sources import SourceSettings, open_sources
from twinear.base.errors import TwinearError

ARTISTS = (
    FakeArtist(name="Can", spotify="4l8xPGtl6DHR2uvunqrl8r", fans=300),
    FakeArtist(name="Low", spotify="16eRpMNXSQ15wuJoeqguaB", fans=900),
    FakeArtist(name="LOW", spotify="otherLow", fans=800),
)
KEYS = {"TWINEAR_SPOTIFY_ID": "an-id", "TWINEAR_SPOTIFY_SECRET": "a-secret"}
CAN = Candidate(
    artist_id="4l8xPGtl6DHR2uvunqrl8r",
    name="Can",
    confidence=0.9,
    why="the only one of that name",
)


@pytest.fixture
def source(world: FakeServices, tmp_path: Path) -> Iterator[Source]:
    environment = world.environment | KEYS
    settings = SourceSettings(names=["spotify"], contact="someone@example.org")
    with open_sources(settings, tmp_path, environment, world.clock) as opened:
        yield opened.sources[0]


def test_a_profile_is_found_by_name(source: Source) -> None:
    assert source.find(requested("can")) == CAN
    assert source.find(requested("Can't")) is None
    assert source.find(requested(" ")) is None
    ambiguous = source.find(requested("Low"))
    assert ambiguous
    assert (ambiguous.confidence, ambiguous.artist_id) == (0.5, ARTISTS[1].spotify)  # more fans


def test_a_profile_is_found_by_musicbrainz_link(source: Source) -> None:
    linked = source.find(requested("Inner Space", spotify=CAN.artist_id))
    assert linked
    assert (linked.name, linked.confidence) == ("Can", 1.0)
    for link in ("gone", "../me"):
        assert source.find(requested("Can", spotify=link)) == CAN


def test_no_more_is_asked_for_than_the_service_allows(world: FakeServices, source: Source) -> None:
    source.find(requested("Can"))
    assert world.requests("spotify")[0].query["limit"] == "10"


def test_why_there_is_no_audio_is_said(
    world: FakeServices, source: Source, monkeypatch: pytest.MonkeyPatch
) -> None:
    with pytest.raises(RequestRefusedError, match=r"February 2026; .*III\.14"):
        source.previews(CAN, 3)
    world.spotify_shows_top = True
    with pytest.raises(RequestRefusedError, match=r"November 2024; .*III\.14"):
        source.previews(CAN, 3)


def test_what_may_not_be_used_is_not_used(
    world: FakeServices, source: Source, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(
        world, "_spotify", lambda seen: reply({"tracks": [{"preview_url": "http://x/y"}]})
    )
    with pytest.raises(RequestRefusedError, match=r"may not be used; .*III\.14"):
        source.previews(CAN, 3)
    preview = Preview(
        source_id="y",
        title="",
        url=world.url,
        duration_seconds=0.0,
        terms="",
    )
    with pytest.raises(RequestRefusedError, match="may not be used"):
        source.download(preview, tmp_path / "a.mp3")
    assert world.count("cdn") == 0


def test_an_artist_that_is_gone_is_unknown(world: FakeServices, source: Source) -> None:
    with pytest.raises(NotFoundError):
        source.previews(candidate_of("gone"), 3)


def test_one_token_serves_all_threads(world: FakeServices, source: Source) -> None:
    assert not hammer(lambda n: source.find(requested(f"Can {n}")), 30).errors
    assert world.count("accounts") == 1
    (token,) = world.requests("accounts")
    assert token.headers["authorization"].startswith("Basic ")


def test_a_token_is_renewed_before_it_expires(world: FakeServices, source: Source) -> None:
    source.find(requested("Can"))
    world.clock.sleep(3500)
    source.find(requested("Low"))
    assert world.count("accounts") == 1
    world.clock.sleep(60)
    source.find(requested("Nobody"))
    assert world.count("accounts") == 2


def test_a_token_that_was_taken_back_is_renewed(world: FakeServices, source: Source) -> None:
    source.find(requested("Can"))
    world.spotify_token = "another"  # noqa: S105
    assert source.find(requested("Low"))
    assert world.count("accounts") == 2
    world.script("spotify", "401", "401")
    with pytest.raises(RequestRefusedError, match="spotify /search: answers 401"):
        source.find(requested("Nobody"))


@pytest.mark.parametrize("token", ["", "with space", "line\r\nX: y", "ü", None, 5])
def test_a_token_that_is_none_is_malformed(
    world: FakeServices, source: Source, monkeypatch: pytest.MonkeyPatch, token: object
) -> None:
    answer = reply({"access_token": token, "expires_in": 3600})
    monkeypatch.setattr(world, "_accounts", lambda seen, form: answer)
    with pytest.raises(InvalidContentError, match="gives no token"):
        source.find(requested("Can"))


def test_keys_that_are_wrong_are_named_and_not_told(world: FakeServices, source: Source) -> None:
    world.spotify_keys = ("an-id", "another")
    message = r"^spotify: .* keys; correct TWINEAR_SPOTIFY_ID and TWINEAR_SPOTIFY_SECRET"
    with pytest.raises(RequestRefusedError, match=message) as caught:
        source.find(requested("Can"))
    assert "a-secret" not in f"{caught.value!r}{caught.value.__cause__!r}"
    assert world.count("spotify") == 0


def test_a_token_service_that_is_down_is_away(world: FakeServices, source: Source) -> None:
    world.script("accounts", *["503"] * 5)
    with pytest.raises(ServiceUnavailableError, match="spotify_accounts /api/token: answers 503"):
        source.find(requested("Can"))


def test_no_secret_is_kept(source: Source, tmp_path: Path) -> None:
    source.find(requested("Can"))
    kept = " ".join(path.read_text() for path in tmp_path.rglob("*.json"))
    assert "Can" in kept
    for secret in ("a-token", "a-secret", "an-id", "Basic", "Bearer"):
        assert secret not in kept


# what is opened


@pytest.mark.parametrize("keys", [{}, {"TWINEAR_SPOTIFY_ID": "an-id"}])
def test_without_keys_there_is_no_spotify(
    world: FakeServices, tmp_path: Path, keys: dict[str, str]
) -> None:
    settings = SourceSettings(names=["spotify"], contact="a@b.org")
    opened = open_sources(settings, tmp_path, keys, world.clock)
    with pytest.raises(TwinearError, match=r"spotify: has no keys, expected TWINEAR_SPOTIFY_ID"):
        opened.__enter__()


def test_services_are_opened_in_their_order_and_none_twice(
    world: FakeServices, tmp_path: Path
) -> None:
    settings = SourceSettings(names=["itunes", "deezer", "itunes"], contact="a@b.org")
    with open_sources(settings, tmp_path, world.environment, world.clock) as opened:
        assert [source.name for source in opened.sources] == ["itunes", "deezer"]
        assert all(source.terms for source in opened.sources)


def test_the_contact_may_come_from_the_environment(world: FakeServices, tmp_path: Path) -> None:
    settings = SourceSettings(names=["deezer"])
    with pytest.raises(TwinearError, match=r"contact: .* TWINEAR_CONTACT"):
        open_sources(settings, tmp_path, {}, world.clock).__enter__()
    with open_sources(settings, tmp_path, {"TWINEAR_CONTACT": "a@b.org"}, world.clock):
        pass


def test_an_unknown_service_is_named(world: FakeServices, tmp_path: Path) -> None:
    opened = open_sources(SourceSettings(names=["deeser"]), tmp_path, {}, world.clock)
    with pytest.raises(TwinearError, match=r"--sources: no source 'deeser'.* 'deezer'"):
        opened.__enter__()

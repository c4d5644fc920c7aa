"""MusicBrainz says who an artist is: merges followed, links read, names only when they are sure."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.services import FakeArtist, FakeClock, FakeServices, hammer, reply
from twinear.acquisition.network.client import Client, user_agent
from twinear.acquisition.network.errors import Away, Malformed, PreviewError, Refused
from twinear.acquisition.network.response_cache import Answers
from twinear.acquisition.previews.services.musicbrainz import MANNERS, Identified, Identity
from twinear.acquisition.previews.source import Wanted

A = "aaaaaaaa-0000-4000-8000-000000000000"
B = "bbbbbbbb-0000-4000-8000-000000000000"
C = "cccccccc-0000-4000-8000-000000000000"
D = "dddddddd-0000-4000-8000-000000000000"
OLD = "00000000-0000-4000-8000-000000000000"

ARTISTS = (
    FakeArtist(name="Radiohead", mbid=A, merged=(OLD,), deezer=399, itunes=657515, spotify="4Z"),
    FakeArtist(name="Nirvana", mbid=B, deezer=1, relations=("deezer",)),
    FakeArtist(name="Nirvana", mbid=C, deezer=2, relations=()),
    FakeArtist(name='AC/DC: "Live" \\ (AND)', mbid=D),
)


@pytest.fixture
def world() -> Iterator[FakeServices]:
    with FakeServices(*ARTISTS, clock=FakeClock()) as services:
        yield services


@pytest.fixture
def identity(world: FakeServices, tmp_path: Path) -> Iterator[Identity]:
    agent = user_agent("someone@example.org")
    answers, url = Answers(tmp_path), world.url_of("musicbrainz")
    with Client("musicbrainz", url, agent, MANNERS, answers=answers, clock=world.clock) as client:
        yield Identity(client)


def test_an_mbid_tells_name_and_links(identity: Identity) -> None:
    ids = {"deezer": "399", "itunes": "657515", "spotify": "4Z"}
    found = identity.of(A)
    assert found == Identified(asked=A, mbid=A, name="Radiohead", ids=ids, confidence=1.0)
    assert found
    assert not found.merged


def test_a_merged_mbid_is_followed_and_both_are_told(identity: Identity) -> None:
    found = identity.of(OLD.upper())
    assert found
    assert (found.asked, found.mbid, found.merged) == (OLD, A, True)


def test_links_are_told_as_far_as_there_are_any(identity: Identity) -> None:
    found = identity.of(B), identity.of(C)
    assert [each and each.ids for each in found] == [{"deezer": "1"}, {}]


@pytest.mark.parametrize("mbid", ["", "x", "../" + A, A + "?", A[:-1], "\ud800"])
def test_what_is_no_mbid_is_not_asked(world: FakeServices, identity: Identity, mbid: str) -> None:
    assert identity.of(mbid) is None
    assert world.count() == 0


def test_an_mbid_that_was_deleted_is_nobody(identity: Identity) -> None:
    assert identity.of("eeeeeeee-0000-4000-8000-000000000000") is None


def test_a_name_is_searched_and_counts_if_only_one_bears_it(identity: Identity) -> None:
    found = identity.find(Wanted(artist="radiohead", name="RADIOHEAD", mbid=""))
    assert found
    assert (found.asked, found.mbid, found.confidence) == ("", A, 0.9)
    assert found.ids["deezer"] == "399"
    assert identity.find(Wanted(artist="nirvana", name="Nirvana", mbid="")) is None
    assert identity.search("Nirvana") == [B, C]
    assert identity.find(Wanted(artist="radio", name="Radio", mbid="")) is None


def test_an_mbid_comes_before_the_name(world: FakeServices, identity: Identity) -> None:
    found = identity.find(Wanted(artist=C, name="Radiohead", mbid=C))
    assert found
    assert found.name == "Nirvana"
    assert world.count(path="/ws/2/artist/") == world.count() == 1


def test_an_mbid_that_was_deleted_is_sought_by_name(identity: Identity) -> None:
    gone = "eeeeeeee-0000-4000-8000-000000000000"
    found = identity.find(Wanted(artist=gone, name="Radiohead", mbid=gone))
    assert found
    assert (found.asked, found.mbid, found.confidence, found.merged) == ("", A, 0.9, False)


@pytest.mark.parametrize("name", ["", "  ", "\n"])
def test_a_name_that_is_empty_is_not_searched(
    world: FakeServices, identity: Identity, name: str
) -> None:
    assert identity.find(Wanted(artist="x", name=name, mbid="")) is None
    assert world.count() == 0


def test_a_name_cannot_change_the_query(world: FakeServices, identity: Identity) -> None:
    assert identity.search('AC/DC: "Live" \\ (AND)') == [D]
    asked = world.requests()[0].query
    assert asked["query"] == r'artist:"AC/DC: \"Live\" \\ (AND)"'
    assert asked["fmt"] == "json"


@pytest.mark.parametrize(
    ("url", "ids"),
    [
        ("https://www.deezer.com/artist/399", {"deezer": "399"}),
        ("http://deezer.com/artist/399/", {"deezer": "399"}),
        ("https://www.deezer.com/en/artist/399?utm=1", {"deezer": "399"}),
        ("https://www.deezer.com/album/399", {}),
        ("https://evil.example/www.deezer.com/artist/399", {}),
        ("https://www.deezer.com.evil.example/artist/399", {}),
        ("https://music.apple.com/gb/artist/657515", {"itunes": "657515"}),
        ("https://music.apple.com/us/artist/radiohead/657515", {"itunes": "657515"}),
        ("https://itunes.apple.com/us/artist/id657515", {"itunes": "657515"}),
        ("https://itunes.apple.com/artist/id657515#x", {"itunes": "657515"}),
        ("https://music.apple.com/us/album/657515", {}),
        ("https://open.spotify.com/artist/4Z8W4fKeB5Yxb", {"spotify": "4Z8W4fKeB5Yxb"}),
        ("https://open.spotify.com/user/x", {}),
        ("", {}),
    ],
)  # fmt: skip
def test_links_are_read_in_all_their_forms(
    world: FakeServices,
    identity: Identity,
    monkeypatch: pytest.MonkeyPatch,
    url: str,
    ids: dict[str, str],
) -> None:
    relations = [
        None,
        {"url": None},
        {"ended": True, "url": {"resource": "https://www.deezer.com/artist/1"}},
        {"type": "streaming", "url": {"resource": url}},
        {"type": "streaming", "url": {"resource": "https://www.deezer.com/artist/2"}},
    ]
    answer = reply({"id": A, "name": "x", "relations": relations})
    monkeypatch.setattr(world, "_musicbrainz", lambda seen: answer)
    found = identity.of(A)
    assert found
    assert found.ids == {"deezer": "2"} | ids


def test_the_user_is_named_and_one_is_asked_a_second(
    world: FakeServices, identity: Identity
) -> None:
    names = [f"Artist {n}" for n in range(40)]
    assert not hammer(lambda n: identity.search(names[n]), 40).errors
    assert world.count() == 40
    assert world.most("musicbrainz", 1.0) == 1
    agents = {each.headers["user-agent"] for each in world.requests()}
    assert all("someone@example.org" in agent for agent in agents)


@pytest.mark.parametrize("fault", ["503", "503 after 3", "429", "reset", "html", "cut json"])
def test_what_may_pass_is_waited_for(world: FakeServices, identity: Identity, fault: str) -> None:
    world.script("musicbrainz", fault, fault)
    assert identity.of(A)
    assert world.count() == 3
    assert world.most("musicbrainz", 1.0) == 1


@pytest.mark.parametrize(
    ("fault", "kind", "message"),
    [
        ("503", Away, "answers 503"),
        ("400", Refused, "answers 400"),
        ("403", Refused, "answers 403"),
        ("empty", Malformed, "is no JSON, expected JSON"),
        ("html", Malformed, "is a web page, expected JSON"),
        ("no rows", Malformed, "has no MBID"),
    ],
)
def test_what_lasts_is_told(
    world: FakeServices, identity: Identity, fault: str, kind: type[PreviewError], message: str
) -> None:
    world.script("musicbrainz", *[fault] * 5)
    with pytest.raises(kind, match=rf"^musicbrainz /artist/{A}: {message}"):
        identity.of(A)


def test_a_search_without_rows_is_malformed(world: FakeServices, identity: Identity) -> None:
    world.script("musicbrainz", "no rows")
    with pytest.raises(Malformed, match=r"musicbrainz /artist: has no list 'artists'"):
        identity.search("Radiohead")


def test_an_identity_is_asked_for_once(world: FakeServices, identity: Identity) -> None:
    assert identity.of(A) == identity.of(A)
    assert identity.search("Nirvana") == identity.search("Nirvana")
    assert world.count() == 2

"""MusicBrainz says who an artist is: merges followed, links read, names only when they are sure."""

import pytest

from tests.acquisition.conftest import Connect
from tests.support.fetching import requested
from tests.support.services import FakeArtist, FakeServices, hammer, reply
from twinear.acquisition.network.errors import (
    InvalidContentError,
    RequestRefusedError,
    ServiceUnavailableError,
    SourceError,
)
from twinear.acquisition.previews.services.musicbrainz import (
    REQUEST_POLICY,
    ArtistIdentity,
    MusicBrainz,
)

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
def musicbrainz(connect: Connect) -> MusicBrainz:
    return MusicBrainz(connect("musicbrainz", REQUEST_POLICY))


def test_an_mbid_tells_name_and_links(musicbrainz: MusicBrainz) -> None:
    ids = {"deezer": "399", "itunes": "657515", "spotify": "4Z"}
    identity = musicbrainz.lookup(A)
    assert identity == ArtistIdentity(requested_mbid=A, mbid=A, name="Radiohead", ids=ids)
    assert not identity.merged


def test_a_merged_mbid_is_followed_and_both_are_told(musicbrainz: MusicBrainz) -> None:
    identity = musicbrainz.lookup(OLD.upper())
    assert identity
    assert (identity.requested_mbid, identity.mbid, identity.merged) == (OLD, A, True)


def test_links_are_told_as_far_as_there_are_any(musicbrainz: MusicBrainz) -> None:
    identities = musicbrainz.lookup(B), musicbrainz.lookup(C)
    assert [identity and identity.ids for identity in identities] == [{"deezer": "1"}, {}]


@pytest.mark.parametrize("mbid", ["", "x", "../" + A, A + "?", A[:-1], "\ud800"])
def test_what_is_no_mbid_is_not_asked(
    world: FakeServices, musicbrainz: MusicBrainz, mbid: str
) -> None:
    assert musicbrainz.lookup(mbid) is None
    assert world.count() == 0


def test_an_mbid_that_was_deleted_is_nobody(musicbrainz: MusicBrainz) -> None:
    assert musicbrainz.lookup("eeeeeeee-0000-4000-8000-000000000000") is None


def test_a_name_is_searched_and_counts_if_only_one_bears_it(musicbrainz: MusicBrainz) -> None:
    identity = musicbrainz.identify(requested("RADIOHEAD"))
    assert identity
    assert (identity.requested_mbid, identity.mbid) == ("", A)
    assert identity.ids["deezer"] == "399"
    assert musicbrainz.identify(requested("Nirvana")) is None
    assert musicbrainz.search("Nirvana") == [B, C]
    assert musicbrainz.identify(requested("Radio")) is None


def test_an_mbid_comes_before_the_name(world: FakeServices, musicbrainz: MusicBrainz) -> None:
    identity = musicbrainz.identify(requested("Radiohead", C))
    assert identity
    assert identity.name == "Nirvana"
    assert world.count(path="/ws/2/artist/") == world.count() == 1


def test_an_mbid_that_was_deleted_is_sought_by_name(musicbrainz: MusicBrainz) -> None:
    gone = "eeeeeeee-0000-4000-8000-000000000000"
    identity = musicbrainz.identify(requested("Radiohead", gone))
    assert identity
    assert (identity.requested_mbid, identity.mbid) == ("", A)
    assert not identity.merged


@pytest.mark.parametrize("name", ["", "  ", "\n"])
def test_a_name_that_is_empty_is_not_searched(
    world: FakeServices, musicbrainz: MusicBrainz, name: str
) -> None:
    assert musicbrainz.identify(requested(name)) is None
    assert world.count() == 0


def test_a_name_cannot_change_the_query(world: FakeServices, musicbrainz: MusicBrainz) -> None:
    assert musicbrainz.search('AC/DC: "Live" \\ (AND)') == [D]
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
    musicbrainz: MusicBrainz,
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
    identity = musicbrainz.lookup(A)
    assert identity
    assert identity.ids == {"deezer": "2"} | ids


def test_the_user_is_named_and_one_is_asked_a_second(
    world: FakeServices, musicbrainz: MusicBrainz
) -> None:
    names = [f"Artist {n}" for n in range(40)]
    assert not hammer(lambda n: musicbrainz.search(names[n]), 40).errors
    assert world.count() == 40
    assert world.most("musicbrainz", 1.0) == 1
    agents = {request.headers["user-agent"] for request in world.requests()}
    assert all("someone@example.org" in agent for agent in agents)


@pytest.mark.parametrize("fault", ["503", "503 after 3", "429", "reset", "html", "cut json"])
def test_what_may_pass_is_waited_for(
    world: FakeServices, musicbrainz: MusicBrainz, fault: str
) -> None:
    world.script("musicbrainz", fault, fault)
    assert musicbrainz.lookup(A)
    assert world.count() == 3
    assert world.most("musicbrainz", 1.0) == 1


@pytest.mark.parametrize(
    ("fault", "kind", "message"),
    [
        ("503", ServiceUnavailableError, "answers 503"),
        ("400", RequestRefusedError, "answers 400"),
        ("403", RequestRefusedError, "answers 403"),
        ("empty", InvalidContentError, "is not JSON, expected JSON"),
        ("html", InvalidContentError, "is a web page, expected JSON"),
        ("no rows", InvalidContentError, "has no MBID"),
    ],
)
def test_what_lasts_is_told(
    world: FakeServices, musicbrainz: MusicBrainz, fault: str, kind: type[SourceError], message: str
) -> None:
    world.script("musicbrainz", *[fault] * 5)
    with pytest.raises(kind, match=rf"^musicbrainz /artist/{A}: {message}"):
        musicbrainz.lookup(A)


def test_a_search_without_rows_is_malformed(world: FakeServices, musicbrainz: MusicBrainz) -> None:
    world.script("musicbrainz", "no rows")
    with pytest.raises(InvalidContentError, match=r"musicbrainz /artist: has no list 'artists'"):
        musicbrainz.search("Radiohead")


def test_an_identity_is_asked_for_once(world: FakeServices, musicbrainz: MusicBrainz) -> None:
    assert musicbrainz.lookup(A) == musicbrainz.lookup(A)
    assert musicbrainz.search("Nirvana") == musicbrainz.search("Nirvana")
    assert world.count() == 2

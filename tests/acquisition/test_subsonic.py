"""A Subsonic server is listed whole, and no secret shows."""

import pytest

from tests.support.subsonic import (
    API_KEY,
    PASSWORD,
    USER,
    FakeSubsonic,
    child,
    failed,
    subsonic_server,
)
from twinear.acquisition.network.errors import RequestRefusedError, UnauthorisedError
from twinear.acquisition.subsonic import Credentials, ServerSong, list_songs, open_server
from twinear.base.errors import DataError, TwinearError

SONGS = [child(f"{n % 3}-{n}", f"Title {n}", "Air", f"Air/{n}.mp3") for n in range(7)]
ANNA = Credentials(user=USER, password=PASSWORD)


def listed(fake: FakeSubsonic, credentials: Credentials = ANNA) -> list[ServerSong]:
    with subsonic_server(fake), open_server(fake.url) as client:
        return list_songs(client, credentials)


@pytest.mark.parametrize("finds_all", [True, False])
def test_all_songs_are_listed_page_by_page(finds_all: bool) -> None:
    fake = FakeSubsonic(songs=SONGS, finds_all=finds_all)
    songs = listed(fake)
    assert sorted(song.id for song in songs) == sorted(song["id"] for song in SONGS)
    first = next(song for song in songs if song.id == "0-0")
    assert first == ServerSong(
        id="0-0",
        title="Title 0",
        artist="Air",
        artist_id="ar-Air",
        album="Album",
        path="Air/0.mp3",
        seconds=180.0,
    )


def test_requests_carry_a_new_token_each_and_never_the_password() -> None:
    fake = FakeSubsonic(songs=SONGS)
    listed(fake)
    assert len({params["s"] for _, params in fake.asked}) == len(fake.asked) > 1
    assert PASSWORD not in str(fake.asked)
    listed(fake, Credentials(api_key=API_KEY))
    assert "u" not in fake.asked[-1][1]


def test_a_server_that_gives_the_first_page_for_ever_is_read_once() -> None:
    fake = FakeSubsonic(songs=SONGS, answer={"status": "ok", "searchResult3": {"song": SONGS}})
    assert len(listed(fake)) == len(SONGS)


def test_folders_and_videos_are_no_songs_and_numbers_may_be_ids() -> None:
    songs = [{"id": 7, "title": "One"}, {"id": "8", "isDir": True}, {"id": "9", "isVideo": True}]
    fake = FakeSubsonic(songs=[], answer={"status": "ok", "searchResult3": {"song": songs}})
    assert [song.id for song in listed(fake)] == ["7"]


@pytest.mark.parametrize(
    ("answer", "error", "place"),
    [
        (failed(40, f"no {PASSWORD}"), UnauthorisedError, "refuses the credentials"),
        (failed(70, "gone"), RequestRefusedError, "search3.*error 70"),
        ({"status": "ok"}, DataError, "no songs"),
    ],
)
def test_what_the_server_refuses_is_said_without_secrets(
    answer: dict[str, object], error: type[TwinearError], place: str
) -> None:
    with pytest.raises(error, match=place) as raised:
        listed(FakeSubsonic(songs=SONGS, answer=answer))
    assert PASSWORD not in str(raised.value)
    assert PASSWORD not in repr(ANNA)


def test_credentials_come_from_the_environment() -> None:
    found = Credentials.from_environment({"SUBSONIC_USER": "a", "SUBSONIC_PASSWORD": "b"})
    assert (found.user, found.password) == ("a", "b")
    with pytest.raises(DataError, match="SUBSONIC_USER"):
        Credentials.from_environment({"SUBSONIC_USER": "a"})

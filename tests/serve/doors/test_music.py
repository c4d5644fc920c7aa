"""Playlists of the user's music, which `twinear library sync` encoded."""

import json
from typing import Any

from tests.serve.doors.conftest import Asked


def playlist(service: Asked, **query: object) -> Any:
    answer = service.get("/api/v1/playlist", music=True, **query)
    assert answer.status == 200, answer.body
    return answer.json


def titles(answer: Any) -> list[str]:
    return [item["clip"]["title"] for item in answer["items"]]


def test_a_playlist_of_the_music_goes_from_one_of_its_artists_to_another(service: Asked) -> None:
    answer = playlist(service, **{"from": "sigur ros", "to": "Somebody", "length": 6})
    items, own = answer["items"], {item.title for item in service.planted.items}
    assert items[0]["artist"]["name"] == "Sigur Rós"
    assert items[-1]["artist"]["name"] == "Somebody"
    assert [items[0]["in_catalogue"], items[-1]["in_catalogue"]] == [True, False]
    assert set(titles(answer)) <= own
    assert len(set(titles(answer))) == 6
    assert answer["instead_of"] == []
    path = service.get("/api/v1/path", music=True, **{"from": "sigur ros", "to": "Somebody"})
    assert path.json["items"][0] == items[0]


def test_an_artist_without_music_begins_at_the_nearest_recording(service: Asked) -> None:
    answer = playlist(service, **{"from": "Artist 30", "length": 3})
    assert answer["instead_of"] == ["Artist 30"]
    assert answer["items"][0]["artist"]["name"] != "Artist 30"


def test_a_batch_answers_each_and_an_error_in_its_place(service: Asked) -> None:
    queries = [
        {"from": "Somebody", "length": 3, "music": True},
        {"from": "Sombody", "music": True},
        {"from": "Sigur Rós", "length": 3},
    ]
    headers = {**service.headers, "Content-Type": "application/json"}
    body = json.dumps({"queries": queries}).encode()
    good, bad, clips = service.send("/api/v1/playlist", body, headers).json["answers"]
    single = playlist(service, **{"from": "Somebody", "length": 3})
    assert good == {key: value for key, value in single.items() if key != "model"}
    assert bad["error"]["nearest"] == ["Somebody"]
    assert clips["items"][0]["clip"]["title"] not in {i.title for i in service.planted.items}


def test_a_player_can_play_the_m3u8_without_the_token(service: Asked) -> None:
    first = playlist(service, **{"from": "Somebody", "length": 4})["items"][0]["clip"]
    query = {"from": first["id"], "length": 4, "format": "m3u8"}
    lines = service.get("/api/v1/playlist", music=True, **query).body.decode().splitlines()
    assert lines[0] == "#EXTM3U"
    assert lines[1] == f"#EXTINF:180,Somebody - {first['title']}"
    assert len(lines) == 9
    for address in lines[2::2]:
        assert service.client.get(address).content == b"not audio"
        assert service.client.get(address[:-1]).status_code == 401
    assert service.get(first["audio"].replace(first["id"], "0" * 17)).status == 404


def test_without_synced_music_the_answer_says_how_to_get_there(
    alone: Asked, service: Asked
) -> None:
    assert service.get("/api/v1/music").json == {"recordings": 26, "artists": 13}
    assert alone.get("/api/v1/music").json == {"recordings": 0, "artists": 0}
    answer = alone.get("/api/v1/playlist", music=True, **{"from": "Somebody"})
    assert answer.status == 404
    assert "library sync" in answer.json["error"]["message"]
    answer = alone.get(f"/api/v1/recordings/{'0' * 17}/audio")
    assert answer.json["error"]["code"] == "unknown_clip"

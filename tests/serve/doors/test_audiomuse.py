"""The contract of AudioMuse-AI's API."""

from itertools import pairwise
from typing import Any

import pytest

from tests.serve.doors.conftest import Asked
from tests.support.planted_library import NEW_MBID, mbid

TRACK = {"item_id": str, "title": str, "author": str, "album": str}
SONG = {"item_id": str, "title": str}


def check_shape(value: Any, shape: Any) -> None:
    """Compare types and nesting; a list of one shape may be of any length."""
    if isinstance(shape, dict):
        assert isinstance(value, dict)
        assert set(value) == set(shape)
        for key, of_key in shape.items():
            check_shape(value[key], of_key)
    elif isinstance(shape, list):
        assert isinstance(value, list)
        for each in value:
            check_shape(each, shape[0])
    else:
        assert type(value) is shape


def test_similar_artists_are_those_of_the_library_with_the_servers_ids(service: Asked) -> None:
    rows = service.get("/api/similar_artists", artist="Sigur Rós", n=50).json
    check_shape(rows, [{"artist": str, "artist_id": str, "divergence": float}])
    artists = {item.artist: item.artist_id for item in service.planted.items}
    assert {row["artist"]: row["artist_id"] for row in rows} == {
        name: server_id for name, server_id in artists.items() if name != "Sigur Rós"
    }
    divergences = [row["divergence"] for row in rows]
    assert divergences == sorted(divergences)
    assert 0 < divergences[0] < divergences[-1] < 1
    assert service.get("/api/similar_artists", artist="Sigur Rós", n=2).json == rows[:2]
    for query in ({"artist": "ar-0"}, {"artist_id": "ar-0"}, {"artist": mbid(0)}):
        assert service.get("/api/similar_artists", n=50, **query).json == rows


def test_songs_stand_for_both_artists_on_request(service: Asked) -> None:
    rows = service.get(
        "/api/similar_artists", artist="Somebody", n=3, include_component_matches="true"
    ).json
    songs = {"artist1_representative_songs": [SONG], "artist2_representative_songs": [SONG]}
    shape = {"artist": str, "artist_id": str, "divergence": float, "component_matches": [songs]}
    check_shape(rows, [shape])
    authors = {item.item_id: item.artist for item in service.planted.items}
    for row in rows:
        (match,) = row["component_matches"]
        for side, artist in (("artist1", "Somebody"), ("artist2", row["artist"])):
            found = match[f"{side}_representative_songs"]
            assert [authors[song["item_id"]] for song in found] == [artist, artist]


def test_without_a_library_similar_artists_are_those_of_the_catalogue(alone: Asked) -> None:
    rows = alone.get(
        "/api/similar_artists", artist="Earth, Wind and Fire", n=5, include_component_matches="true"
    ).json
    assert len(rows) == 5
    assert all(row["artist_id"] for row in rows)
    empty: dict[str, list[object]] = {
        "artist1_representative_songs": [],
        "artist2_representative_songs": [],
    }
    assert rows[0]["component_matches"] == [empty]
    answer = alone.get("/api/similar_tracks", item_id="s-0")
    assert answer.status == 404
    assert "twinear library sync" in answer.json["error"]


def test_similar_tracks_are_found_by_id_or_by_title_and_artist(service: Asked) -> None:
    rows = service.get("/api/similar_tracks", item_id="s-0", n=100, eliminate_duplicates="false")
    check_shape(rows.json, [{**TRACK, "distance": float}])
    assert {row["item_id"] for row in rows.json} == {
        item.item_id for item in service.planted.items[1:]
    }
    distances = [row["distance"] for row in rows.json]
    assert distances == sorted(distances)
    assert {row["album"] for row in rows.json} == {"Album", "unknown"}
    by_title = {"title": "title 1 <&> of sigur ros", "artist": "SIGUR RÓS", "n": 100}
    named = service.get("/api/similar_tracks", eliminate_duplicates="false", **by_title)
    assert named.json == rows.json
    assert len(service.get("/api/similar_tracks", item_id="s-0").json) == 10


def test_a_path_is_told_with_the_sum_of_its_distances(service: Asked) -> None:
    ends = {"start_song_id": "s-0", "end_song_id": "s-25"}
    path = service.get("/api/find_path", max_steps=5, **ends).json
    check_shape(path, {"path": [TRACK], "total_distance": float})
    ids = [track["item_id"] for track in path["path"]]
    assert (len(ids), ids[0], ids[-1]) == (5, "s-0", "s-25")
    total = 0.0
    for one, other in pairwise(ids):
        near = service.get(
            "/api/similar_tracks", item_id=one, n=100, eliminate_duplicates="false"
        ).json
        total += next(row["distance"] for row in near if row["item_id"] == other)
    assert path["total_distance"] == pytest.approx(total, abs=1e-5)


@pytest.mark.parametrize(
    ("path", "query", "status", "word"),
    [
        ("similar_artists", {}, 400, "artist"),
        ("similar_artists", {"artist": "nobody at all"}, 404, "nobody at all"),
        ("similar_artists", {"artist": "Sigur Rós", "n": "many"}, 400, "n is 'many'"),
        ("similar_artists", {"artist": "Sigur Rós", "n": "0"}, 400, "n is '0'"),
        ("similar_tracks", {}, 400, "item_id"),
        ("similar_tracks", {"title": "One"}, 400, "title and artist"),
        ("similar_tracks", {"item_id": "<b>"}, 404, "<b>"),
        ("similar_tracks", {"title": "One", "artist": "Two"}, 404, "'One' by 'Two'"),
        ("similar_tracks", {"item_id": "s-0", "n": "-1"}, 400, "n is"),
        ("find_path", {"start_song_id": "s-0"}, 400, "end_song_id"),
        ("find_path", {"start_song_id": "s-0", "end_song_id": "x"}, 404, "'x'"),
        ("find_path", {"start_song_id": "a", "end_song_id": "b", "max_steps": "²"}, 400, "max"),
    ],
)
def test_errors_are_a_sentence(
    service: Asked, path: str, query: dict[str, str], status: int, word: str
) -> None:
    answer = service.get(f"/api/{path}", **query)
    assert answer.status == status
    check_shape(answer.json, {"error": str})
    assert word in answer.json["error"]
    assert str(service.planted.folder) not in answer.json["error"]


def test_the_token_is_needed(service: Asked) -> None:
    assert service.get("/api/similar_artists", {}, artist=NEW_MBID).status == 401


def test_a_new_table_is_taken_at_once_and_a_damaged_one_is_none(service: Asked) -> None:
    table = service.planted.table
    whole = table.read_text(encoding="utf-8")
    try:
        table.write_text(whole.replace("s-25,", "moved,"), encoding="utf-8")
        statuses = [
            service.get("/api/similar_tracks", item_id=each).status for each in ("s-25", "moved")
        ]
        assert statuses == [404, 200]
        table.write_text("item_id\n", encoding="utf-8")
        assert "sync" in service.get("/api/similar_tracks", item_id="s-0").json["error"]
    finally:
        table.write_text(whole, encoding="utf-8")
    assert service.get("/api/similar_tracks", item_id="s-25").status == 200

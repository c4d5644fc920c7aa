"""The contract of ListenBrainz labs' `similar-artists`."""

import json
from typing import Any
from urllib.parse import quote

import pytest

from tests.serve.doors.conftest import TOKEN, Asked
from tests.support.planted_library import NEW_MBID, N, mbid
from twinear.recommendation.similar_artists import similar_artists

PATH = "/similar-artists/json"
KEYS = {"artist_mbid", "name", "comment", "type", "gender", "score", "reference_mbid"}


def check_rows(rows: Any, reference: str) -> None:
    assert rows
    for row in rows:
        assert set(row) == KEYS
        assert isinstance(row["artist_mbid"], str)
        assert isinstance(row["name"], str)
        assert type(row["score"]) is int
        assert 0 <= row["score"] <= 10_000
        assert (row["comment"], row["type"], row["gender"]) == ("", None, None)
        assert row["reference_mbid"] == reference
        assert row["artist_mbid"] != reference
    scores = [row["score"] for row in rows]
    assert scores == sorted(scores, reverse=True)


def test_get_and_post_answer_the_rows_of_the_catalogue(alone: Asked) -> None:
    rows = alone.get(PATH, artist_mbids=mbid(0), algorithm="any").json
    check_rows(rows, mbid(0))
    expected = [
        (each.artist, each.name, round(10_000 * each.score))
        for each in similar_artists(alone.planted.catalogue, mbid(0), N)
        if each.artist.endswith("-0000-4000-8000-000000000000")
    ]
    assert [(row["artist_mbid"], row["name"], row["score"]) for row in rows] == expected
    question = [{"artist_mbids": [mbid(0)], "algorithm": "any"}]
    assert alone.send(PATH, json.dumps(question).encode()).json == rows


def test_several_ids_are_answered_each_with_its_reference(alone: Asked) -> None:
    one, other = mbid(0), mbid(3)
    each = [alone.get(PATH, artist_mbids=asked).json for asked in (one, other)]
    assert alone.get(PATH, artist_mbids=f"{one},{other}").json == [*each[0], *each[1]]
    question = [{"artist_mbids": [one]}, {"artist_mbids": [other]}]
    assert alone.send(PATH, json.dumps(question).encode()).json == [*each[0], *each[1]]


def test_an_id_that_was_merged_means_the_other_and_upper_case_does_not_matter(
    alone: Asked,
) -> None:
    current = alone.get(PATH, artist_mbids=mbid(0)).json
    merged = alone.get(PATH, artist_mbids=mbid(0xDEAD).upper()).json
    check_rows(merged, mbid(0xDEAD))
    assert [row["score"] for row in merged] == [row["score"] for row in current]


def test_an_unknown_artist_has_no_similar_ones(alone: Asked) -> None:
    answer = alone.get(PATH, artist_mbids=mbid(0xBEEF))
    assert (answer.status, answer.json) == (200, [])


@pytest.mark.parametrize("query", ["", "abc", f"{mbid(0)},abc", mbid(0)[:-1], ",,"])
def test_no_id_or_a_malformed_one_is_refused(alone: Asked, query: str) -> None:
    answer = alone.get(PATH, artist_mbids=query, algorithm="a")
    assert answer.status == 400
    assert set(answer.json) == {"error"}
    assert "artist_mbids" in answer.json["error"]


@pytest.mark.parametrize(
    "body",
    [b"", b"{", b"[]", b"{}", b"7", b'[{"algorithm": "a"}]', b'[{"artist_mbids": [7]}]', b"[7]"],
)
def test_a_body_that_is_no_question_is_refused(alone: Asked, body: bytes) -> None:
    assert alone.send(PATH, body).status == 400


def test_a_body_is_bounded(alone: Asked) -> None:
    assert alone.send(PATH, b" " * 1_100_000).status == 413
    assert alone.get(PATH, artist_mbids=",".join(map(mbid, range(101)))).status == 400


def test_a_library_adds_its_own_artists_and_the_ids_of_its_tags(service: Asked) -> None:
    rows = service.get(PATH, artist_mbids=mbid(0)).json
    check_rows(rows, mbid(0))
    names = {row["artist_mbid"]: row["name"] for row in rows}
    assert names[NEW_MBID] == "Nobody & Söhne"  # the catalogue does not hold it
    assert names[mbid(35)] == "Artist 35"  # the catalogue has no id of it
    for reference in (NEW_MBID, mbid(35)):
        check_rows(service.get(PATH, artist_mbids=reference).json, reference)


def test_a_token_is_asked_for_in_the_header_or_in_the_address(service: Asked) -> None:
    rows = service.get(PATH, artist_mbids=mbid(0)).json
    by_path = f"/listenbrainz/{quote(TOKEN)}{PATH}"
    assert service.get(by_path, {}, artist_mbids=mbid(0)).json == rows
    body = json.dumps([{"artist_mbids": [mbid(0)]}]).encode()
    assert service.send(by_path, body, {}).json == rows
    for path in (PATH, f"/listenbrainz/wrong{PATH}"):
        assert service.get(path, {}, artist_mbids=mbid(0)).status == 401
        assert service.send(path, body, {}).status == 401

"""Every endpoint gives what the library gives, in the shapes that clients depend on."""

from pathlib import Path
from typing import Any

import pytest

from tests.conftest import Project
from tests.support.serving import Service, copy_served, running, wait_for_map
from twinear.catalogue.catalogue import Catalogue
from twinear.catalogue.lookup import ArtistRecord
from twinear.recommendation.collection import Collection
from twinear.recommendation.similar_artists import similar_artists
from twinear.recommendation.similar_clips import similar_clips
from twinear.recommendation.why import explain_similarity

ARTIST = {"id", "name", "mbid", "listeners", "clips", "known"}
CLIP = {"id", "title", "seconds", "audio"}
MODEL = {"scorer", "data", "listens"}


@pytest.fixture(scope="module")
def records(service: Service) -> list[ArtistRecord]:
    return list(Catalogue.read(service.options.catalogue).artists)


def audio_of(service: Service, clip: Any) -> bytes:
    return service.client.get(clip["audio"]).content


def file_of(service: Service, artist: ArtistRecord, nth: int = 0) -> Path:
    clips = Catalogue.read(service.options.catalogue).artists.clips_of(artist.row)
    return service.options.data / clips[nth].file


@pytest.mark.parametrize(
    "options",
    [
        {},
        {"top": 3},
        {"balance": 0.0},
        {"max_listeners": 200},
        {"diverse": True, "top": 4},
        {"exact": True},
    ],
)
def test_similar_artists_are_those_of_the_library(
    service: Service, records: list[ArtistRecord], options: dict[str, Any]
) -> None:
    answer = service.get("/api/v1/similar", artist=records[0].name, **options)
    expected = similar_artists(service.options.catalogue, records[0].artist, **options)
    assert [(row["artist"]["id"], row["score"]) for row in answer["similar"]] == [
        (each.artist, each.score) for each in expected
    ]
    assert answer["of"][0]["id"] == records[0].artist
    assert set(answer["similar"][0]) == {"artist", "score", "words", "clip"}
    assert set(answer["similar"][0]["artist"]) == ARTIST
    assert set(answer["similar"][0]["clip"]) == CLIP
    assert set(answer["model"]) == MODEL


def test_several_seeds_and_artists_left_out(service: Service, records: list[ArtistRecord]) -> None:
    seeds, first = [record.artist for record in records[:2]], records[5].name
    answer = service.get("/api/v1/similar", artist=seeds, without=[first, records[6].artist])
    expected = similar_artists(
        service.options.catalogue, seeds, without=[records[5].artist, records[6].artist]
    )
    assert [row["artist"]["id"] for row in answer["similar"]] == [each.artist for each in expected]


def test_better_scores_have_better_words(service: Service, records: list[ArtistRecord]) -> None:
    rows = service.get("/api/v1/similar", artist=records[0].artist, top=79)["similar"]
    order = ["very alike", "alike", "somewhat alike", "hardly alike"]
    places = [order.index(row["words"]) for row in rows]
    assert places == sorted(places)
    assert places[-1] == 3


def test_a_batch_answers_each_question_and_an_error_in_its_place(
    service: Service, records: list[ArtistRecord]
) -> None:
    name = records[0].name
    queries = [{"artists": [name], "top": 2}, {"artists": ["Nobody At All"]}]
    good, bad = service.post("/api/v1/similar", {"queries": queries})["answers"]
    single = service.get("/api/v1/similar", artist=name, top=2)
    assert good == {key: value for key, value in single.items() if key != "model"}
    assert bad["error"]["code"] == "unknown_artist"


def test_artists_are_found_as_somebody_types(service: Service, records: list[ArtistRecord]) -> None:
    record = records[3]
    typed = record.name[:7].upper()
    found = service.get("/api/v1/artists", q=typed)["artists"]
    assert record.artist in {artist["id"] for artist in found}
    (exact,) = service.get("/api/v1/artists", q=record.artist)["artists"]
    assert exact["mbid"] == exact["id"] == record.artist


def test_pages_of_artists_make_the_whole(service: Service, records: list[ArtistRecord]) -> None:
    whole = service.get("/api/v1/artists", limit=200)
    assert whole["total"] == len(records)
    listeners = [artist["listeners"] for artist in whole["artists"]]
    assert listeners == sorted(listeners, reverse=True)
    pages = [
        artist
        for offset in range(0, 100, 30)
        for artist in service.get("/api/v1/artists", limit=30, offset=offset)["artists"]
    ]
    assert pages == whole["artists"]


def test_a_misspelt_name_is_answered_with_the_nearest(
    service: Service, records: list[ArtistRecord]
) -> None:
    name = records[0].name
    misspelt = name[:-1] + "x"
    assert name in service.get("/api/v1/artists", q=misspelt)["nearest"]
    error = service.error(404, "GET", "/api/v1/similar", params={"artist": misspelt})
    assert error["code"] == "unknown_artist"
    assert name in error["nearest"]


def test_an_artist_has_clips_that_play(service: Service, records: list[ArtistRecord]) -> None:
    answer = service.get(f"/api/v1/artists/{records[0].artist}")
    assert set(answer["artist"]) == ARTIST
    for nth, clip in enumerate(answer["clips"]):
        assert set(clip) == CLIP
        assert audio_of(service, clip) == file_of(service, records[0], nth).read_bytes()


def test_a_range_of_audio_is_played(service: Service, records: list[ArtistRecord]) -> None:
    clip = service.get(f"/api/v1/artists/{records[0].artist}")["clips"][0]
    whole = file_of(service, records[0]).read_bytes()

    def ask(span: str, **headers: str) -> Any:
        return service.client.get(clip["audio"], headers={"Range": span, **headers})

    part = ask("bytes=100-199")
    assert (part.status_code, part.content) == (206, whole[100:200])
    assert part.headers["content-range"] == f"bytes 100-199/{len(whole)}"
    assert part.headers["content-type"].startswith("audio/")
    assert ask("bytes=-10").content == whole[-10:]
    assert ask(f"bytes={len(whole)}-").status_code == 416
    assert ask("bytes=0-9", **{"If-Range": part.headers["etag"]}).status_code == 206
    changed = ask("bytes=0-9", **{"If-Range": '"another"'})
    assert (changed.status_code, changed.content) == (200, whole)


@pytest.mark.parametrize("one_per_artist", [False, True])
def test_similar_clips_are_those_of_the_library(
    service: Service, records: list[ArtistRecord], one_per_artist: bool
) -> None:
    clip = service.get(f"/api/v1/artists/{records[0].artist}")["clips"][1]
    path = f"/api/v1/clips/{clip['id']}/similar"
    answer = service.get(path, top=5, one_per_artist=one_per_artist)
    file = file_of(service, records[0], 1).relative_to(service.options.data)
    expected = similar_clips(
        service.options.catalogue, file.as_posix(), 5, one_per_artist=one_per_artist
    )
    assert [
        (row["clip"]["title"], row["artist"]["id"], row["score"]) for row in answer["clips"]
    ] == [(each.title, each.artist, each.score) for each in expected]


def test_clips_that_are_sent_are_asked_about_as_by_the_library(
    service: Service, records: list[ArtistRecord]
) -> None:
    files = [file_of(service, records[0]), file_of(service, records[1])]
    sent = [("clip", (file.name, file.read_bytes())) for file in (*files, files[0])]
    answer = service.json("POST", "/api/v1/similar/clips", files=sent, params={"top": 3})
    expected = similar_artists(service.options.catalogue, clips=files, top=3)
    assert [row["artist"]["id"] for row in answer["similar"]] == [each.artist for each in expected]
    assert [row["score"] for row in answer["similar"]] == pytest.approx(
        [each.score for each in expected]
    )
    assert answer["of"] == []
    assert [each["name"] for each in answer["uploaded"]] == [file.name for file in files]
    assert answer["uploaded"][0]["seconds"] == pytest.approx(30, abs=1)
    assert answer["reasons"] is None


def test_clips_that_are_sent_are_explained(service: Service, records: list[ArtistRecord]) -> None:
    file = file_of(service, records[0])
    answer = service.json(
        "POST",
        "/api/v1/similar/clips",
        files={"clip": ("mine.mp3", file.read_bytes())},
        params={"top": 2, "why": True},
    )
    for row, reason in zip(answer["similar"], answer["reasons"], strict=True):
        assert reason["like"] == row["artist"]
        assert reason["of"] is None
        assert reason["sound"]["first"] == "mine.mp3"
        assert reason["sound"]["clips"][0] is None
        assert reason["sound"]["clips"][1]["audio"]


def test_a_pair_is_explained_as_by_the_library(
    service: Service, records: list[ArtistRecord]
) -> None:
    of, like = records[0].artist, records[1].artist
    answer = service.get("/api/v1/explanation", of=of, like=like)
    expected = explain_similarity(service.options.catalogue, of, like, data=service.options.data)
    assert expected.sound is not None
    assert answer["score"] == expected.reasons.score
    assert [step["rank"] for step in answer["reasons"]["steps"]] == [
        step.rank for step in expected.reasons.steps
    ]
    sound = answer["sound"]
    assert sound["logit"] == pytest.approx(expected.sound.logit)
    total = sound["bias"] + sum(part["contribution"] for part in sound["parts"])
    assert total == pytest.approx(sound["logit"], abs=1e-4)
    for window in sound["windows"]["best"]:
        for side, clip in zip(("first", "second"), sound["clips"], strict=True):
            assert window[side]["clip"] == clip
            assert 0 <= window[side]["start"] < window[side]["end"] <= clip["seconds"] + 0.1
    (batch, same) = service.post(
        "/api/v1/explanation", {"queries": [{"of": of, "like": like}, {"of": of, "like": of}]}
    )["answers"]
    assert batch == {key: value for key, value in answer.items() if key != "model"}
    assert same["error"]["code"] == "same_artist"


def test_a_path_begins_and_ends_where_it_is_asked_to(
    service: Service, records: list[ArtistRecord]
) -> None:
    ends = {"from": records[0].name, "to": records[1].artist, "length": 5}
    answer = service.get("/api/v1/path", **ends)
    items = answer["items"]
    assert len(items) == 5
    assert items[0]["artist"]["id"] == records[0].artist
    assert items[-1]["artist"]["id"] == records[1].artist
    assert items[0]["score_to_previous"] is None
    scores = [item["score_to_previous"] for item in items[1:]]
    assert answer["mean_score"] == pytest.approx(sum(scores) / 4)
    assert answer["least_score"] == min(scores)
    (batch,) = service.post("/api/v1/path", {"queries": [ends]})["answers"]
    assert batch["items"] == items


def test_a_playlist_begins_with_a_clip_and_a_player_can_play_it(
    service: Service, records: list[ArtistRecord]
) -> None:
    clip = service.get(f"/api/v1/artists/{records[0].artist}")["clips"][1]
    items = service.get("/api/v1/playlist", **{"from": clip["id"], "length": 4})["items"]
    assert items[0]["clip"] == clip
    answer = service.client.get(
        "/api/v1/playlist", params={"from": clip["id"], "length": 4, "format": "m3u8"}
    )
    header, *lines = answer.text.splitlines()
    assert header == "#EXTM3U"
    assert lines[1::2] == [service.address + item["clip"]["audio"] for item in items]
    assert service.client.get(lines[1]).content == audio_of(service, clip)
    assert lines[0] == f"#EXTINF:{clip['seconds']:.0f},{records[0].name} - {clip['title']}"


def test_the_map_has_all_artists_and_says_how_far_it_can_be_trusted(
    finished: Project, records: list[ArtistRecord], tmp_path: Path
) -> None:
    """A service of its own, beside whose catalogue there is no map yet."""
    with running(copy_served(finished, tmp_path)) as service:
        answer = wait_for_map(service)
        ids = [records[7].artist, "Nobody"]
        point, unknown = service.post("/api/v1/map", {"ids": ids})["answers"]
    assert answer["ids"] == [record.artist for record in records]
    assert answer["names"] == [record.name for record in records]
    assert {len(answer[column]) for column in ("x", "y", "listeners")} == {answer["n"]}
    assert -1 <= min(answer["x"] + answer["y"]) <= max(answer["x"] + answer["y"]) <= 1
    assert answer["trust"]["trustworthiness"] > 0.9
    assert 0.6 < answer["trust"]["neighbours_kept"] < 1
    assert (point["x"], point["y"]) == (answer["x"][7], answer["y"][7])
    assert unknown["error"]["code"] == "unknown_artist"


def test_the_figures_of_the_report_are_those_of_this_catalogue(service: Service) -> None:
    answer = service.get("/api/v1/report")
    assert "catalogue" in answer["ranking"]
    assert answer["listeners"]["artists"] > 0


def test_it_is_live_ready_and_counted(service: Service, records: list[ArtistRecord]) -> None:
    assert service.get("/v2/health/live") == {"live": True}
    ready = service.get("/v2/health/ready")
    assert ready["artists"] == len(records)
    before = read_metric(service, "/api/v1/similar")
    service.get("/api/v1/similar", artist=records[0].artist)
    assert read_metric(service, "/api/v1/similar") == before + 1
    text = service.client.get("/metrics").text
    assert "twinear_request_seconds_bucket" in text
    assert "twinear_requests_in_progress 1.0" in text
    assert f'scorer="{ready["model"]["scorer"]}"' in text
    assert "twinear_errors_total 0.0" in text


def read_metric(service: Service, route: str) -> float:
    wanted = f'twinear_requests_total{{method="GET",route="{route}",status="200"}}'
    lines = service.client.get("/metrics").text.splitlines()
    return sum(float(line.split()[-1]) for line in lines if line.startswith(wanted))


def test_every_answer_has_a_request_id_and_says_what_computed_it(
    service: Service, records: list[ArtistRecord]
) -> None:
    asked = {"X-Request-Id": "mine-1"}
    answer = service.client.get("/api/v1/artists", headers=asked)
    assert answer.headers["x-request-id"] == "mine-1"
    model = answer.json()["model"]
    assert answer.headers["x-twinear-scorer"] == model["scorer"]
    assert answer.headers["x-twinear-data"] == model["data"]
    collection = Collection.open(service.options.catalogue)
    assert model["data"] == collection.catalogue.identity[:12]
    strange = service.client.get("/api/v1/artists", headers={"X-Request-Id": "a b\tc"})
    assert len(strange.headers["x-request-id"]) == 32


@pytest.mark.parametrize(
    ("path", "params", "names"),
    [
        ("/api/v1/similar", {"artist": "x", "top": 0, "balance": 2}, {"top", "balance"}),
        ("/api/v1/similar", {}, {"artist"}),
        ("/api/v1/similar", {"artist": "x", "topp": 3}, {"topp"}),
        ("/api/v1/artists", {"limit": "many"}, {"limit"}),
        ("/api/v1/path", {"from": "x"}, {"to"}),
        ("/api/v1/playlist", {"from": "x", "format": "pls"}, {"format"}),
    ],
)
def test_parameters_that_cannot_be_used_are_named(
    service: Service, path: str, params: dict[str, Any], names: set[str]
) -> None:
    error = service.error(422, "GET", path, params=params)
    assert error["code"] == "invalid_parameters"
    assert {each["name"] for each in error["parameters"]} == names


def test_the_description_and_its_page_are_here_and_load_nothing_from_elsewhere(
    service: Service,
) -> None:
    described = service.get("/openapi.json")
    assert "/api/v1/similar/clips" in described["paths"]
    page = service.client.get("/docs/")
    assert page.status_code == 200
    assert "default-src 'none'" in page.headers["content-security-policy"]
    for file in ("docs.js", "docs.css"):
        text = service.client.get(f"/docs/{file}").text
        assert "http://" not in text
        assert "https://" not in text
    assert "://" not in page.text

"""The Navidrome plug-in under Extism, as Navidrome runs it, asking a real service on loopback."""

import base64
import importlib.util
import json
import subprocess
import sys
import urllib.error
import urllib.request
import zipfile
from collections.abc import Iterator
from contextlib import contextmanager
from importlib.metadata import version
from pathlib import Path
from types import ModuleType
from typing import Any

import extism
import pytest

from tests.conftest import ROOT
from tests.serve.doors.conftest import TOKEN, Asked
from tests.support.planted_library import NEW_MBID, mbid
from tests.support.servers import free_port

NAVIDROME = ROOT / "integrations/navidrome"
PLUGIN = NAVIDROME / "twinear.ndp"


@extism.host_fn(  # type: ignore[untyped-decorator]
    name="http_send",
    namespace="extism:host/user",
    signature=([extism.ValType.I64], [extism.ValType.I64]),
)
def http_send(plugin: Any, params: Any, results: Any, *_: object) -> None:
    """Send a request, as Navidrome does: bodies are base64, and an empty value is left out."""
    asked = json.loads(plugin.input_string(params[0]))["request"]
    assert set(asked) == {"method", "url", "headers", "timeoutMs"}
    assert asked["timeoutMs"] <= 10_000
    request = urllib.request.Request(asked["url"], method=asked["method"], headers=asked["headers"])  # noqa: S310
    try:
        with urllib.request.urlopen(request, timeout=300) as answer:  # noqa: S310
            sent: dict[str, Any] = {"result": describe(answer.status, answer.read())}
    except urllib.error.HTTPError as error:
        with error:
            sent = {"result": describe(error.code, error.read())}
    except urllib.error.URLError as error:
        sent = {"error": str(error)}
    plugin.return_string(results[0], json.dumps(sent))


def describe(status: int, body: bytes) -> dict[str, Any]:
    return {"statusCode": status, "headers": {}, "body": base64.b64encode(body).decode()}


@contextmanager
def loaded(**config: str) -> Iterator[Any]:
    with zipfile.ZipFile(PLUGIN) as archive:
        wasm = archive.read("plugin.wasm")
    data = {"data": base64.b64encode(wasm).decode()}
    with extism.Plugin({"wasm": [data], "timeout_ms": 30_000}, config=config) as plugin:
        yield plugin


def call(plugin: Any, function: str, **asked: object) -> Any:
    return json.loads(plugin.call(function, json.dumps(asked)))


@pytest.fixture(name="plugin", scope="module")
def _plugin(service: Asked) -> Iterator[Any]:
    with loaded(server=f"{service.url}/", token=TOKEN) as plugin:
        yield plugin


def names(answer: Any) -> list[str]:
    return [artist["name"] for artist in answer["artists"]]


def test_similar_artists_are_those_of_the_service(plugin: Any, service: Asked) -> None:
    asked = {"id": "unknown", "name": "Sigur Rós", "limit": 5}
    rows = service.get("/api/similar_artists", artist="Sigur Rós", n=5).json
    answer = call(plugin, "nd_get_similar_artists", **asked)
    expected = [{"id": row["artist_id"], "name": row["artist"]} for row in rows]
    assert answer == {"artists": expected}
    # by id, by MBID and by name, whichever the service knows
    for known in ({"id": "ar-0"}, {"mbid": mbid(0)}, {"mbid": NEW_MBID, "id": "ar-0"}):
        assert call(plugin, "nd_get_similar_artists", **asked | {"name": "?"} | known) == answer


def test_artists_outside_of_a_library_are_named_by_their_mbids(alone: Asked) -> None:
    with loaded(server=alone.url) as plugin:
        answer = call(plugin, "nd_get_similar_artists", id="x", name="sigur ros", limit=30)
    for artist in answer["artists"]:
        key = "mbid" if artist.get("mbid") else "id"
        assert set(artist) == {key, "name"}
        assert artist[key].startswith("0000" if key == "mbid" else "artist ")


def test_songs_around_an_artist_are_of_the_similar_ones_in_turn(
    plugin: Any, service: Asked
) -> None:
    answer = call(plugin, "nd_get_similar_songs_by_artist", id="ar-0", name="Sigur Rós", count=15)
    rows = service.get("/api/similar_artists", artist="Sigur Rós", n=20).json
    artists = [song["artists"][0]["name"] for song in answer["songs"]]
    assert artists == [row["artist"] for row in (*rows, *rows)][:15]
    titles = {item.item_id: item.title for item in service.planted.items}
    assert all(titles[song["id"]] == song["name"] for song in answer["songs"])
    assert len({song["id"] for song in answer["songs"]}) == 15


@pytest.mark.parametrize("song_id", ["s-0", "unknown"])
def test_songs_like_one_are_found_by_id_or_by_title(
    plugin: Any, service: Asked, song_id: str
) -> None:
    item = service.planted.items[0]
    rows = service.get("/api/similar_tracks", item_id="s-0", n=4).json
    by_track = call(
        plugin,
        "nd_get_similar_songs_by_track",
        id=song_id,
        name=item.title,
        artist=item.artist,
        count=4,
    )
    albums = [{"album": "Album"} if row["album"] == "Album" else {} for row in rows]
    songs = [
        {"id": row["item_id"], "name": row["title"], "artists": [{"name": row["author"]}]} | album
        for row, album in zip(rows, albums, strict=True)
    ]
    assert by_track == {"songs": songs}
    asked = {"id": song_id, "name": item.title, "artists": [{"name": item.artist}]}
    sonic = call(plugin, "nd_get_sonic_similar_tracks", song=asked, count=4)
    assert [match["song"] for match in sonic["matches"]] == songs
    assert [match["similarity"] for match in sonic["matches"]] == pytest.approx(
        [1 - row["distance"] for row in rows]
    )


def test_a_path_has_the_mean_similarity_of_its_steps(plugin: Any, service: Asked) -> None:
    ends = {"startSong": {"id": "s-0", "name": "?"}, "endSong": {"id": "s-25", "name": "?"}}
    matches = call(plugin, "nd_find_sonic_path", count=6, **ends)["matches"]
    path = service.get("/api/find_path", start_song_id="s-0", end_song_id="s-25", max_steps=6).json
    ids = [match["song"]["id"] for match in matches]
    assert ids == [track["item_id"] for track in path["path"]]
    mean = 1 - path["total_distance"] / 5
    assert [match["similarity"] for match in matches] == pytest.approx([1, *[mean] * 5])


@pytest.mark.parametrize(
    ("function", "asked", "empty"),
    [
        ("nd_get_similar_artists", {"id": "", "name": "nobody at all", "limit": 3}, "artists"),
        ("nd_get_similar_songs_by_artist", {"id": "x", "name": "nobody", "count": 3}, "songs"),
        ("nd_get_similar_songs_by_track", {"id": "x", "name": "?", "count": 3}, "songs"),
        ("nd_get_sonic_similar_tracks", {"song": {"id": "x", "name": "?"}, "count": 3}, "matches"),
        (
            "nd_find_sonic_path",
            {"startSong": {"name": "?"}, "endSong": {"id": "s-0", "name": "?"}, "count": 3},
            "matches",
        ),
    ],
)
def test_what_the_service_does_not_know_is_an_empty_answer(
    plugin: Any, function: str, asked: dict[str, Any], empty: str
) -> None:
    assert call(plugin, function, **asked) == {empty: []}


@pytest.mark.parametrize(
    ("config", "word"), [({"token": "wrong"}, "refuses the token"), ({"server": ""}, "reached")]
)
def test_a_service_that_cannot_answer_is_an_error_for_navidromes_log(
    service: Asked, config: dict[str, str], word: str
) -> None:
    config = {"server": service.url, "token": TOKEN} | config
    config["server"] = config["server"] or f"http://127.0.0.1:{free_port()}"
    asked = json.dumps({"id": "", "name": "Sigur Rós", "limit": 3})
    with loaded(**config) as plugin, pytest.raises(extism.Error, match=word):
        plugin.call("nd_get_similar_artists", asked)


def builder() -> ModuleType:
    spec = importlib.util.spec_from_file_location("build", NAVIDROME / "build.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_the_plugin_is_built_from_the_source_beside_it() -> None:
    with zipfile.ZipFile(PLUGIN) as archive:
        assert archive.comment.decode() == builder().source_digest()
        assert sorted(archive.namelist()) == ["manifest.json", "plugin.wasm"]
        packed = json.loads(archive.read("manifest.json"))
    assert packed == json.loads((NAVIDROME / "manifest.json").read_text(encoding="utf-8"))
    assert packed["version"] == version("twinear")


def test_the_source_gives_these_bytes(tmp_path: Path) -> None:
    pytest.importorskip("ziglang", reason="the compiler is not installed")
    build(tmp_path / "plugin.ndp")
    assert (tmp_path / "plugin.ndp").read_bytes() == PLUGIN.read_bytes()
    build(tmp_path / "narrow.ndp", "--host", "twinear.lan")
    with zipfile.ZipFile(tmp_path / "narrow.ndp") as archive:
        manifest = json.loads(archive.read("manifest.json"))
    assert manifest["permissions"]["http"]["requiredHosts"] == ["twinear.lan"]


def build(out: Path, *options: str) -> None:
    subprocess.run([sys.executable, NAVIDROME / "build.py", "--out", out, *options], check=True)

"""A catalogue that is replaced, missing, of another layout, or has artists added to it."""

import json
import threading
import time
from collections import Counter
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import httpx
import numpy as np
import pytest

from tests.conftest import Project
from tests.support.audio import music, write_clip
from tests.support.dvc import run_dvc
from tests.support.serving import (
    Service,
    copy_served,
    plant_map,
    replace_catalogue,
    running,
    with_scorer,
)
from tests.support.tracking import mlflow, register  # noqa: F401  (a fixture)
from twinear.base.errors import DataError
from twinear.base.files import sha256
from twinear.catalogue.catalogue import SCORER, Catalogue
from twinear.clips.roots import find_dvc_cache
from twinear.model.scorer import Scorer
from twinear.recommendation.additions import Additions
from twinear.recommendation.collection import Collection
from twinear.serve.options import ServeOptions
from twinear.tracking.connection import connect
from twinear.tracking.registry import CHAMPION, set_champion


@pytest.fixture
def options(finished: Project, tmp_path: Path) -> ServeOptions:
    """A catalogue that a test may change."""
    options = copy_served(finished, tmp_path)
    plant_map(options.catalogue)
    return options


def colder(_: Path, facts: dict[str, Any]) -> None:
    """Another calibration: all scores differ."""
    facts["calibration"]["intercept"] -= 0.5


def wait_until(condition: Callable[[], bool], seconds: float = 120) -> None:
    until = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < until, "what was waited for did not come"
        time.sleep(0.05)


def test_answers_under_load_are_of_the_old_catalogue_or_of_the_new_one_and_none_fails(
    options: ServeOptions,
) -> None:
    names = [record.artist for record in Catalogue.read(options.catalogue).artists]
    query = {"queries": [{"artists": [name], "top": 3} for name in names[:8]]}
    seen: Counter[tuple[str, str]] = Counter()
    stop = threading.Event()
    failures: list[str] = []

    def ask(address: str) -> None:
        with httpx.Client(base_url=address, timeout=300) as client:
            while not stop.is_set():
                answer = client.post("/api/v1/similar", json=query)
                if answer.status_code != 200:
                    failures.append(answer.text)
                    return
                content = answer.json()
                header = answer.headers["x-twinear-data"]
                if header != content["model"]["data"]:
                    failures.append(f"{header} and {content['model']}")
                seen[header, json.dumps(content["answers"])] += 1

    with running(options) as service:
        threads = [threading.Thread(target=ask, args=(service.address,)) for _ in range(3)]
        for thread in threads:
            thread.start()
        hashes = [service.get("/v2/health/ready")["model"]["data"]]
        for _ in range(3):
            wait_until(lambda: any(data == hashes[-1] for data, _ in seen) or bool(failures))
            replace_catalogue(options.catalogue, colder)
            wait_until(lambda: service.get("/v2/health/ready")["model"]["data"] != hashes[-1])
            hashes.append(service.get("/v2/health/ready")["model"]["data"])
        wait_until(lambda: any(data == hashes[-1] for data, _ in seen) or bool(failures))
        stop.set()
        for thread in threads:
            thread.join()
    assert failures == []
    assert len(set(hashes)) == 4
    assert {data for data, _ in seen} == set(hashes)
    assert len(seen) == 4  # all answers of a catalogue are equal: none was of two


def test_without_a_catalogue_it_says_how_to_make_one_and_takes_it_when_it_is_there(
    options: ServeOptions, tmp_path: Path
) -> None:
    aside = tmp_path / "aside"
    options.catalogue.rename(aside)
    with running(options) as service:
        assert service.get("/v2/health/live") == {"live": True}
        for path in ("/v2/health/ready", "/api/v1/artists", "/api/v1/map", "/api/v1/report"):
            error = service.error(503, "GET", path)
            assert (error["code"], error["remedy"]) == ("no_catalogue", "run 'make run'")
        aside.rename(options.catalogue)
        wait_until(lambda: service.client.get("/v2/health/ready").status_code == 200)
        assert service.get("/api/v1/artists")["total"] == 80


def test_a_catalogue_of_another_layout_is_refused_and_the_one_before_still_answers(
    options: ServeOptions,
) -> None:
    with running(options) as service:
        before = service.get("/v2/health/ready")
        assert before["problem"] is None
        replace_catalogue(options.catalogue, lambda _, facts: facts.update(layout=99))
        wait_until(lambda: service.get("/v2/health/ready")["problem"] is not None)
        after = service.get("/v2/health/ready")
        assert after["model"] == before["model"]
        assert "99" in after["problem"]
        name = service.get("/api/v1/artists")["artists"][0]["name"]
        service.get("/api/v1/similar", artist=name)
        # what was not opened before is not taken of another catalogue
        service.get("/api/v1/explanation", of=name, like=_another(service, name))
    with running(options) as service:
        error = service.error(503, "GET", "/api/v1/artists")
        assert error["code"] == "no_catalogue"
        assert "99" in error["message"]
        assert "repro" in error["remedy"]


def _another(service: Service, name: str) -> str:
    return str(service.get("/api/v1/similar", artist=name, top=1)["similar"][0]["artist"]["id"])


def test_an_artist_that_is_added_is_found_and_not_played_from_elsewhere(
    options: ServeOptions, tmp_path: Path
) -> None:
    file = write_clip(tmp_path / "elsewhere" / "new.mp3", music(8))
    with running(options) as service:
        before = service.get("/v2/health/ready")
        catalogue = Catalogue.read(options.catalogue)
        scorer = Collection(catalogue=catalogue).load_scorer()
        Additions.beside(catalogue).add("Entirely New", [file], scorer)
        wait_until(lambda: service.get("/v2/health/ready")["artists"] == 81)
        after = service.get("/v2/health/ready")
        assert after["model"]["data"] != before["model"]["data"]
        (found,) = service.get("/api/v1/artists", q="entirely")["artists"]
        assert (found["name"], found["clips"], found["known"]) == ("Entirely New", 1, False)
        similar = service.get("/api/v1/similar", artist="Entirely New", exact=True)["similar"]
        assert len(similar) == 10
        (clip,) = service.get(f"/api/v1/artists/{found['id']}")["clips"]
        assert clip["audio"] is None
        assert service.error(404, "GET", f"/api/v1/clips/{clip['id']}/audio")["code"] == "no_audio"
        items = service.get("/api/v1/playlist", **{"from": "Entirely New", "length": 3})["items"]
        assert items[0]["clip"] == clip
        like = similar[0]["artist"]["id"]
        missing = service.get("/api/v1/explanation", of="Entirely New", like=like)
        assert missing["sound"] is None
        assert "Entirely New" in missing["missing"]
    with running(replace(options, music=file.parent)) as service:  # the user's own folder
        (clip,) = service.get("/api/v1/artists/Entirely New")["clips"]
        assert service.client.get(clip["audio"]).content == file.read_bytes()


def test_an_id_of_a_clip_finds_it_in_another_build(options: ServeOptions) -> None:
    with running(options) as service:
        service.get("/v2/health/ready")
        snapshot = service.app.state.snapshots.current
        record = snapshot.collection.clips([5])[0]
        shifted = snapshot.clip(record).id[:16] + "9"  # the row that it had in another build
        assert snapshot.find_clip(shifted) == record
        error = service.error(404, "GET", f"/api/v1/clips/{'0' * 16}5/audio")
        assert error["code"] == "unknown_clip"


def test_links_out_of_the_data_folder_are_not_played(options: ServeOptions, tmp_path: Path) -> None:
    record = Catalogue.read(options.catalogue).artists.clips_of(0)[0]
    secret = tmp_path / "secret"
    secret.write_text("secret", encoding="utf-8")
    data = tmp_path / "data"
    link = data / record.file
    link.parent.mkdir(parents=True)
    link.symlink_to(secret)
    with running(replace(options, data=data)) as service:
        artist = service.get("/api/v1/artists", limit=200)["artists"]
        clip = next(
            clip
            for each in artist
            for clip in service.get(f"/api/v1/artists/{each['id']}")["clips"]
            if clip["title"] == record.title
        )
        assert clip["audio"] is None
        service.error(404, "GET", f"/api/v1/clips/{clip['id']}/audio")
        link.unlink()
        link.write_bytes(b"audio")
        assert service.client.get(f"/api/v1/clips/{clip['id']}/audio").content == b"audio"


def test_clips_that_dvc_links_to_its_cache_are_played_and_no_other_links(
    options: ServeOptions, tmp_path: Path
) -> None:
    table = Catalogue.read(options.catalogue).artists
    file, link = (tmp_path / "data" / table.clips_of(row)[0].file for row in (0, 1))
    file.parent.mkdir(parents=True)
    file.write_bytes(b"audio")
    settings = ("config cache.dir elsewhere", "config cache.type symlink")
    for command in ("init -q --no-scm", *settings, "add -q data"):
        run_dvc(tmp_path, *command.split())
    assert file.resolve().is_relative_to(tmp_path / "elsewhere")
    assert file.suffix != file.resolve().suffix
    (tmp_path / ".dvc/tmp/secret").write_bytes(b"secret")  # not of the cache, but beside it
    link.symlink_to(tmp_path / ".dvc/tmp/secret")
    with running(replace(options, data=tmp_path / "data")) as service:
        played, refused = (
            service.get(f"/api/v1/artists/{table.record(row).artist}")["clips"][0] for row in (0, 1)
        )
        answer = service.client.get(played["audio"])
        assert answer.content == b"audio"
        assert answer.headers["content-type"] == "audio/ogg"
        assert refused["audio"] is None
        service.error(404, "GET", f"/api/v1/clips/{refused['id']}/audio")


@pytest.mark.parametrize(
    ("config", "local", "cache"),
    [
        ("", "", ".dvc/cache"),
        ("[core]\n    remote = a\n['remote \"a\"']\n    url = ../store\n", "", ".dvc/cache"),
        ("[cache]\n    type = symlink\n    dir = ../elsewhere\n", "", "elsewhere"),
        (
            "[cache]\n    dir = ../elsewhere\n",
            "[cache]\ndir = /srv/100%/cache\n",
            "/srv/100%/cache",
        ),
    ],
)
def test_the_cache_is_the_one_that_dvc_is_configured_with(
    tmp_path: Path, config: str, local: str, cache: str
) -> None:
    data = tmp_path / "project/data"
    assert find_dvc_cache(data) is None
    (tmp_path / "project/.dvc").mkdir(parents=True)
    (tmp_path / "project/.dvc/config").write_text(config, encoding="utf-8")
    (tmp_path / "project/.dvc/config.local").write_text(local, encoding="utf-8")
    assert find_dvc_cache(data) == tmp_path / "project" / cache
    (tmp_path / "project/.dvc/config").write_text("no section", encoding="utf-8")
    with pytest.raises(DataError, match=r"\.dvc: .*configuration"):
        find_dvc_cache(data)


def test_a_champion_is_served_once_the_catalogue_is_of_it(
    options: ServeOptions,
    mlflow: Any,  # noqa: F811
    tmp_path: Path,
) -> None:
    client = connect().MlflowClient()
    scorer = options.catalogue / SCORER
    first = register(client, scorer, sha256(scorer))
    set_champion(first)
    other = tmp_path / "other" / SCORER
    read = Scorer.read(scorer)
    weights = {name: np.asarray(each * 1.01, each.dtype) for name, each in read.weights.items()}
    replace(read, weights=weights).write(other)
    second = register(client, other, sha256(other))

    with running(replace(options, model=CHAMPION)) as service:
        old = service.get("/v2/health/ready")
        assert old["model"]["scorer"] == sha256(scorer)[:12]
        set_champion(second)
        wait_until(lambda: service.get("/v2/health/ready")["problem"] is not None)
        waiting = service.get("/v2/health/ready")
        assert waiting["model"] == old["model"]
        assert sha256(other)[:12] in waiting["problem"]

        replace_catalogue(options.catalogue, with_scorer(other))
        wait_until(lambda: service.get("/v2/health/ready")["problem"] is None)
        assert service.get("/v2/health/ready")["model"]["scorer"] == sha256(other)[:12]

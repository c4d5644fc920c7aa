"""The service as the page on music players starts it, and what the page says to type."""

import re

import httpx
import pytest

from tests.conftest import ROOT
from tests.serve.doors.conftest import Asked
from tests.support.planted_library import PlantedLibrary, mbid
from tests.support.servers import answer, free_port, served

PAGE = ROOT / "docs/how-to/music-players.md"


def test_the_service_answers_at_the_addresses_that_are_documented_for_players(
    planted: PlantedLibrary, monkeypatch: pytest.MonkeyPatch
) -> None:
    page = PAGE.read_text(encoding="utf-8")
    port = free_port()
    monkeypatch.setenv("TWINEAR_TOKEN", "SECRET")
    command = ("twinear", "serve", "--host", "0.0.0.0", "--port", str(port))  # noqa: S104
    url = f"http://127.0.0.1:{port}"
    with served(planted.folder, *command) as process, httpx.Client(base_url=url) as client:
        answer(process, f"{url}/v2/health/ready")
        service = Asked(client=client, planted=planted, headers={"Authorization": "Bearer SECRET"})
        (labs,) = re.findall(r"^http://twinear\.lan:8000(/\S+)$", page, re.MULTILINE)
        path = f"{labs}/similar-artists/json"
        assert service.get(path, {}, artist_mbids=mbid(0)).json
        for name, query in (
            ("similar_artists", {"artist": "Sigur Rós", "n": 10}),
            ("similar_tracks", {"item_id": "s-0"}),
            ("find_path", {"start_song_id": "s-0", "end_song_id": "s-25", "max_steps": 25}),
        ):
            assert f"/api/{name}?" in page
            assert service.get(f"/api/{name}", **query).status == 200
            assert service.get(f"/api/{name}", {}, **query).status == 401
        assert b'status="ok"' in service.get("/rest/ping.view", {}, apiKey="SECRET").body

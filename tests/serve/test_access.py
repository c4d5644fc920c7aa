"""Who may ask, and what no request reaches."""

from dataclasses import replace
from typing import Any

import httpx
import pytest

from tests.support.serving import Service, running
from twinear.base.errors import TwinearError
from twinear.serve.server import serve

TOKEN = "a secret of many letters"  # noqa: S105


@pytest.fixture(scope="module")
def guarded(service: Service) -> Any:
    with running(replace(service.options, token=TOKEN)) as guarded:
        yield guarded


def test_the_api_needs_the_token_and_the_page_and_the_health_do_not(guarded: Service) -> None:
    with httpx.Client(base_url=guarded.address, timeout=300) as stranger:
        for path in ("/api/v1/artists", "/metrics", "/api/v1/map"):
            answer = stranger.get(path)
            assert answer.status_code == 401
            assert answer.json()["error"]["code"] == "token"
            assert answer.headers["www-authenticate"] == "Bearer"
        for path in ("/", "/docs/", "/openapi.json", "/v2/health/live", "/v2/health/ready"):
            assert stranger.get(path).status_code == 200
        for sent in ("Bearer wrong", f"Basic {TOKEN}", "Bearer", f"Bearer {TOKEN}x", "é"):
            headers = {b"Authorization": sent.encode()}
            assert stranger.get("/api/v1/artists", headers=headers).status_code == 401
        answer = stranger.get("/api/v1/artists", headers={"Authorization": f"bearer {TOKEN}"})
        assert answer.status_code == 200
        assert TOKEN not in answer.text


def test_a_player_plays_what_it_was_given_without_the_token_and_nothing_else(
    guarded: Service,
) -> None:
    artists = guarded.get("/api/v1/artists", limit=2)["artists"]
    first, second = (guarded.get(f"/api/v1/artists/{a['id']}")["clips"][0] for a in artists)
    with httpx.Client(base_url=guarded.address, timeout=300) as player:
        assert player.get(first["audio"]).status_code == 200
        path, _, key = first["audio"].partition("?")
        assert player.get(path).status_code == 401
        assert player.get(f"{path}?key={'0' * 32}").status_code == 401
        other = second["audio"].partition("?")[0]
        assert player.get(f"{other}?{key}").status_code == 401
        assert player.get(f"/api/v1/artists?{key}").status_code == 401


@pytest.mark.parametrize("host", ["0.0.0.0", "192.0.2.1"])  # noqa: S104
def test_beyond_this_machine_it_does_not_start_without_a_token(service: Service, host: str) -> None:
    with pytest.raises(TwinearError, match="TWINEAR_TOKEN"):
        serve(replace(service.options, host=host), 0, print)


def test_a_page_of_elsewhere_cannot_ask_by_a_name_that_leads_here(service: Service) -> None:
    for host in ("evil.example", "evil.example:80", "127.0.0.1.evil.example", ""):
        answer = service.client.get("/api/v1/artists", headers={"Host": host})
        assert answer.status_code in (400, 421)
    for host in ("localhost", "localhost:80", "127.0.0.1", "[::1]:80"):
        assert service.client.get("/api/v1/artists", headers={"Host": host}).is_success


@pytest.mark.parametrize(
    "path",
    [
        "/../../../etc/passwd",
        "/%2e%2e/%2e%2e/app.py",
        "/..%2fapp.py",
        "/docs/../app.py",
        "/docs/%2e%2e/app.py",
        "/docs//etc/passwd",
        "/api/v1/clips/..%2f..%2fclips.csv/audio",
        "/api/v1/clips/%2fetc%2fpasswd/audio",
        "/api/v1/artists/%2fetc%2fpasswd",
        "/api/v1/artists/..%2f..%2fclips.csv",
        "/api/v1/path?from=/etc/passwd&to=/etc/hosts",
        "/api/v1/playlist?from=data/clips.csv",
        "/api/v1/similar?artist=../clips.csv",
        "/%00",
    ],
)
def test_no_path_leads_out(service: Service, path: str) -> None:
    address = httpx.URL(service.address).copy_with(raw_path=path.encode())
    answer = service.client.get(address)
    assert answer.status_code in (400, 404, 405, 422)
    assert b"root:" not in answer.content
    assert "error" in answer.json()


def test_names_are_data_and_never_markup(service: Service) -> None:
    name = "<script>alert(1)</script>"
    answer = service.client.get("/api/v1/similar", params={"artist": name})
    assert answer.status_code == 404
    assert answer.headers["content-type"] == "application/json"
    assert answer.headers["x-content-type-options"] == "nosniff"
    assert "script-src 'self'" in answer.headers["content-security-policy"]
    assert "unsafe" not in answer.headers["content-security-policy"]


def test_what_is_no_text_is_refused(service: Service) -> None:
    body = b'{"queries": [{"artists": ["\\ud800"]}]}'
    headers = {"Content-Type": "application/json"}
    answer = service.client.post("/api/v1/similar", content=body, headers=headers)
    assert answer.status_code == 422
    broken = service.client.post("/api/v1/similar", content=b"{", headers=headers)
    assert broken.status_code == 422
    assert service.client.get("/api/v1/similar?artist=%ff%fe").status_code == 404

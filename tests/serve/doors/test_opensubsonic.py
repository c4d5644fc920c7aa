"""The contract of OpenSubsonic's extension sonicSimilarity, in JSON and in XML."""

import hashlib
from typing import Any
from urllib.parse import urlencode
from xml.etree import ElementTree

import pytest

from tests.serve.doors.conftest import PASSWORD, TOKEN, USER, Asked
from tests.serve.doors.test_audiomuse import check_shape

SPACE = "{http://subsonic.org/restapi}"
HEAD = {"status": str, "version": str, "type": str, "serverVersion": str, "openSubsonic": bool}
ENTRY = {
    "id": str,
    "isDir": bool,
    "title": str,
    "artist": str,
    "artistId": str,
    "album": str,
    "suffix": str,
    "contentType": str,
    "duration": int,
    "isVideo": bool,
    "type": str,
    "mediaType": str,
}


def login(password: str = PASSWORD, user: str = USER, salt: str = "sält") -> dict[str, str]:
    token = hashlib.md5((password + salt).encode()).hexdigest()  # noqa: S324
    return {"u": user, "t": token, "s": salt, "v": "1.16.1", "c": "test"}


def asked(service: Asked, method: str, **query: object) -> dict[str, Any]:
    answer = service.get(f"/rest/{method}", {}, f="json", **query)
    assert answer.status == 200
    assert answer.headers["content-type"] == "application/json"
    assert set(answer.json) == {"subsonic-response"}
    found: dict[str, Any] = answer.json["subsonic-response"]
    check_shape({key: found[key] for key in HEAD}, HEAD)
    assert (found["version"], found["openSubsonic"]) == ("1.16.1", True)
    return found


def parsed(body: bytes) -> ElementTree.Element:
    root = ElementTree.fromstring(body)  # noqa: S314  # of our own server
    assert root.tag == f"{SPACE}subsonic-response"
    return root


def as_json(element: ElementTree.Element) -> Any:
    """Read XML as the JSON of the same answer, with texts for values."""
    value: dict[str, Any] = dict(element.attrib)
    for child in element:
        held = as_json(child) if child.attrib or len(child) else child.text
        value.setdefault(child.tag.removeprefix(SPACE), []).append(held)
    return value


def test_similar_tracks_have_an_entry_and_a_similarity(service: Asked) -> None:
    found = asked(service, "getSonicSimilarTracks", id="s-1", count=24, **login())
    matches = found["sonicMatch"]
    assert len(matches) == 24
    for match in matches:
        album = {} if "album" in match["entry"] else {"album": "unknown"}
        check_shape(
            {**match, "entry": match["entry"] | album}, {"entry": ENTRY, "similarity": float}
        )
    similarities = [match["similarity"] for match in matches]
    assert similarities == sorted(similarities, reverse=True)
    assert 0 < similarities[-1] < similarities[0] < 1
    assert len(asked(service, "getSonicSimilarTracks", id="s-1", **login())["sonicMatch"]) == 10


def test_a_path_begins_and_ends_with_the_two_songs(service: Asked) -> None:
    ends = {"startSongId": "s-0", "endSongId": "s-25"}
    matches = asked(service, "findSonicPath", count=5, **ends, **login())["sonicMatch"]
    assert [match["entry"]["id"] for match in matches][:: len(matches) - 1] == ["s-0", "s-25"]
    assert len(matches) == 5
    assert matches[0]["similarity"] == 1.0
    assert all(0 < match["similarity"] < 1 for match in matches[1:])
    assert len(asked(service, "findSonicPath", **ends, **login())["sonicMatch"]) == 25
    same = asked(service, "findSonicPath", startSongId="s-0", endSongId="s-0", **login())
    assert [match["entry"]["id"] for match in same["sonicMatch"]] == ["s-0"]


@pytest.mark.parametrize("suffix", ["", ".view"])
def test_xml_says_what_json_says_with_names_escaped(service: Asked, suffix: str) -> None:
    query = {"id": "s-1", "count": 24, **login()}
    answer = service.get(f"/rest/getSonicSimilarTracks{suffix}", {}, **query)
    assert answer.status == 200
    assert answer.headers["content-type"].startswith("application/xml")
    root = parsed(answer.body)
    expected = asked(service, "getSonicSimilarTracks", **query)
    texts = [match["entry"]["artist"] for match in expected["sonicMatch"]]
    assert {'The <b>"Beat"', "Nobody & Söhne"} <= set(texts)
    for element, match in zip(root, expected["sonicMatch"], strict=True):
        assert [child.tag for child in element] == [f"{SPACE}entry", f"{SPACE}similarity"]
        assert element[1].text == str(match["similarity"])
        values = {key: str(value) for key, value in match["entry"].items()}
        values |= {key: str(match["entry"][key]).lower() for key in ("isDir", "isVideo")}
        assert element[0].attrib == values
    head = {key: str(expected[key]) for key in HEAD} | {"openSubsonic": "true"}
    assert root.attrib == head


def test_extensions_are_public(service: Asked) -> None:
    found = asked(service, "getOpenSubsonicExtensions")["openSubsonicExtensions"]
    check_shape(found, [{"name": str, "versions": [int]}])
    assert {"name": "sonicSimilarity", "versions": [1]} in found
    root = parsed(service.get("/rest/getOpenSubsonicExtensions.view", {}).body)
    assert as_json(root)["openSubsonicExtensions"] == [
        {"name": each["name"], "versions": ["1"]} for each in found
    ]


@pytest.mark.parametrize("method", ["ping", "ping.view", "getLicense", "tokenInfo"])
def test_clients_log_in_with_a_password_or_an_api_key(service: Asked, method: str) -> None:
    for credentials in (login(), {"apiKey": TOKEN}):
        assert asked(service, method, **credentials)["status"] == "ok"
    assert asked(service, "getLicense", **login())["license"] == {"valid": True}
    assert asked(service, "tokenInfo", apiKey=TOKEN)["tokenInfo"] == {"username": USER}


def test_parameters_may_come_as_a_form(service: Asked) -> None:
    form = urlencode({"id": "s-1", "count": 3, "f": "json", **login()}).encode()
    posted = service.send("/rest/getSonicSimilarTracks.view", form, {}).json
    expected = asked(service, "getSonicSimilarTracks", id="s-1", count=3, **login())
    assert posted["subsonic-response"] == expected
    large = service.send("/rest/ping", b"x" * 1_100_000, {})
    assert parsed(large.body).attrib["status"] == "failed"


@pytest.mark.parametrize(
    ("query", "code"),
    [
        ({}, 10),
        ({"u": USER}, 10),
        ({"u": USER, "t": login()["t"]}, 10),
        (login("wrong"), 40),
        (login(user="ben"), 40),
        (login() | {"s": "other"}, 40),
        ({"u": USER, "p": PASSWORD}, 42),
        ({**login(), "apiKey": TOKEN}, 43),
        ({"apiKey": "wrong"}, 44),
        ({"apiKey": ""}, 44),
    ],
)
def test_who_may_not_ask_gets_a_code(service: Asked, query: dict[str, str], code: int) -> None:
    for method in ("ping", "getSonicSimilarTracks", "findSonicPath"):
        found = asked(service, method, id="s-1", **query)
        assert found["status"] == "failed"
        check_shape(found["error"], {"code": int, "message": str})
        assert found["error"]["code"] == code
        assert PASSWORD not in found["error"]["message"]


@pytest.mark.parametrize(
    ("method", "query", "code"),
    [
        ("getSonicSimilarTracks", {}, 10),
        ("getSonicSimilarTracks", {"id": "<&\x01>"}, 70),
        ("getSonicSimilarTracks", {"id": "s-0", "count": "x"}, 0),
        ("findSonicPath", {"startSongId": "s-0"}, 10),
        ("findSonicPath", {"startSongId": "s-0", "endSongId": "x"}, 70),
        ("getArtists", {}, 0),
    ],
)
def test_errors_have_status_200_and_a_code(
    service: Asked, method: str, query: dict[str, str], code: int
) -> None:
    found = asked(service, method, **query, **login())
    assert (found["status"], found["error"]["code"]) == ("failed", code)
    answer = service.get(f"/rest/{method}", {}, **query, **login())
    error = parsed(answer.body)[0]
    assert error.tag == f"{SPACE}error"
    assert error.attrib["code"] == str(code)
    assert error.attrib["message"] == found["error"]["message"].replace("\x01", "?")


def test_without_secrets_everyone_on_this_machine_may_ask(alone: Asked) -> None:
    for credentials in ({}, login("any"), {"apiKey": "any"}):
        assert asked(alone, "ping", **credentials)["status"] == "ok"
    found = asked(alone, "getSonicSimilarTracks", id="s-0")
    assert found["error"]["code"] == 70
    assert "twinear library sync" in found["error"]["message"]

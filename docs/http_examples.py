"""Record an example of each endpoint for `reference/http.md`, on the bundled sample.

`python docs/http_examples.py`, in a clone whose catalogue is built, serves it with a folder of
music, which is some of the sample's clips, and writes `docs/reference/http-examples.json`:
operation -> the command, as a reader types it, and the answer, whose lists are cut and whose
numbers are rounded.
"""

import json
import shlex
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx
import pandas as pd

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))
from docs.generate import ADDRESS, FORM, HTTP_EXAMPLES

from twinear.base.files import write_text

ROOT = Path(__file__).resolve().parents[1]
TWINEAR = str(Path(sys.executable).with_name("twinear"))
ARTISTS = 10  # in the folder of music
MAX_ITEMS = 2  # of a list that are shown
DIGITS = 4  # of a number
MAX_LINES = 12  # of an answer that is no JSON
UPLOAD = "A.mp3"

# operation -> what is added to its path, or its body; names in braces are of the sample
REQUESTS: dict[str, Any] = {
    "GET /api/v1/artists": {"q": "the b", "limit": 2},
    "POST /api/v1/artists": {"queries": [{"q": "the b", "limit": 1}, {"q": "Nobody"}]},
    "GET /api/v1/artists/{artist}": {},
    "GET /api/v1/similar": {"artist": "{name}", "top": 2},
    "POST /api/v1/similar": {"queries": [{"artists": ["{name}", "{other}"], "top": 1}]},
    "GET /api/v1/clips/{clip}/audio": {},
    "GET /api/v1/clips/{clip}/similar": {"top": 2, "one_per_artist": "true"},
    "POST /api/v1/similar/clips": {"top": 2},
    "GET /api/v1/explanation": {"of": "{name}", "like": "{other}"},
    "POST /api/v1/explanation": {"queries": [{"of": "{name}", "like": "{name}"}]},
    "GET /api/v1/path": {"from": "{name}", "to": "{other}", "length": 3},
    "POST /api/v1/path": {"queries": [{"from": "{name}", "to": "{other}", "length": 2}]},
    "GET /api/v1/playlist": {"from": "{name}", "length": 3, "format": "m3u8"},
    "POST /api/v1/playlist": {"queries": [{"from": "{name}", "length": 2, "music": True}]},
    "GET /api/v1/music": {},
    "GET /api/v1/recordings/{recording}/audio": {},
    "GET /api/v1/map": {},
    "POST /api/v1/map": {"ids": ["{artist}"]},
    "GET /api/v1/report": {},
    "GET /v2/health/live": {},
    "GET /v2/health/ready": {},
    "GET /similar-artists/json": {"artist_mbids": "{artist}", "algorithm": "any"},
    "POST /similar-artists/json": [{"artist_mbids": ["{artist}"], "algorithm": "any"}],
    "GET /api/similar_artists": {"artist": "{name}", "n": 2},
    "GET /api/similar_tracks": {"item_id": "{item}", "n": 2},
    "GET /api/find_path": {"start_song_id": "{item}", "end_song_id": "{last}", "max_steps": 3},
    "GET /rest/ping": {"f": "json"},
    "GET /rest/getLicense": {"f": "json"},
    "GET /rest/tokenInfo": {"f": "json"},
    "GET /rest/getOpenSubsonicExtensions": {"f": "json"},
    "GET /rest/getSonicSimilarTracks": {"f": "json", "id": "{item}", "count": 2},
    "GET /rest/findSonicPath": {
        "f": "json",
        "startSongId": "{item}",
        "endSongId": "{last}",
        "count": 3,
    },
}


def record(client: httpx.Client, folder: Path) -> dict[str, Any]:
    """Send every request, and give its command and its answer."""
    names = find_names(client, folder)
    api = client.get("/openapi.json").json()
    wanted = {
        f"{method.upper()} {path}"
        for path, operations in api["paths"].items()
        for method, operation in operations.items()
        if FORM not in operation.get("requestBody", {}).get("content", {})
    }
    if wanted != set(REQUESTS):
        raise SystemExit(f"no example, or no endpoint: {sorted(wanted ^ set(REQUESTS))}")
    return {operation: record_one(client, operation, names) for operation in REQUESTS}


def find_names(client: httpx.Client, folder: Path) -> dict[str, str]:
    """Look up what the requests are about."""
    first, other = client.get("/api/v1/artists", params={"limit": 2}).json()["artists"]
    ends = {"from": first["name"], "music": True}
    music = client.get("/api/v1/playlist", params=ends).json()["items"]
    table = (folder / "library.csv").read_text(encoding="utf-8").splitlines()
    return {
        "artist": first["id"],
        "name": first["name"],
        "other": other["name"],
        "clip": client.get(f"/api/v1/artists/{first['id']}").json()["clips"][0]["id"],
        "recording": music[0]["clip"]["id"],
        "item": table[1].partition(",")[0],
        "last": table[-1].partition(",")[0],
    }


def record_one(client: httpx.Client, operation: str, names: dict[str, str]) -> dict[str, Any]:
    """Send one request."""
    method, _, path = operation.partition(" ")
    path, asked = fill(path, names), fill(REQUESTS[operation], names)
    request: dict[str, Any] = {}
    options = []
    if "clips" in path and method == "POST":
        clip = next(ROOT.glob("data/clips/*"))
        request = {"params": asked, "files": {"clip": (UPLOAD, clip.read_bytes())}}
        options = ["-F", f"clip=@{UPLOAD}"]
    elif method == "POST":
        request = {"json": asked}
        body = json.dumps(asked, ensure_ascii=False)
        options = ["-H", "Content-Type: application/json", "-d", body]
    elif asked:
        request = {"params": asked}
    if path.endswith("/audio"):
        request["headers"], options = {"Range": "bytes=0-99"}, ["-r", "0-99", "-o", "clip.ogg"]
    answer = client.request(method, path, **request)
    while answer.status_code == 503:  # the map is being computed
        time.sleep(1)
        answer = client.request(method, path, **request)
    answer.raise_for_status()
    url = str(httpx.URL(ADDRESS + path, params=request.get("params")))
    words = [shlex.join(options[at : at + 2]) for at in range(0, len(options), 2)]
    words.append(shlex.quote(url.replace("%20", "+")))
    command = "curl " + " \\\n    ".join(words)
    if "json" in answer.headers["content-type"]:
        shown = shorten(answer.json(), 4 if path.endswith("/report") else 20)
    elif answer.headers["content-type"].startswith("audio"):
        shown = (
            f"{answer.status_code}: {len(answer.content)} bytes, {answer.headers['content-type']}"
        )
    else:
        shown = "\n".join(answer.text.splitlines()[:MAX_LINES])
    text = json.dumps({"command": command, "answer": shown})
    return dict(json.loads(text.replace(str(client.base_url).rstrip("/"), ADDRESS)))


def fill(value: Any, names: dict[str, str]) -> Any:
    """Put names of the sample in place of those in braces."""
    if isinstance(value, dict):
        return {key: fill(each, names) for key, each in value.items()}
    if isinstance(value, list):
        return [fill(each, names) for each in value]
    return value.format(**names) if isinstance(value, str) else value


def shorten(value: Any, most_keys: int) -> Any:
    """Cut lists, and objects of more than `most_keys`, and round numbers."""
    if isinstance(value, dict):
        shown = list(value.items())[: MAX_ITEMS if len(value) > most_keys else None]
        return {key: shorten(each, most_keys) for key, each in shown}
    if isinstance(value, list):
        return [shorten(each, most_keys) for each in value[:MAX_ITEMS]]
    return round(value, DIGITS) if isinstance(value, float) else value


def make_music(folder: Path) -> None:
    """Lay some clips out as a folder of music, and sync it."""
    clips = pd.read_csv(ROOT / "data/clips.csv", keep_default_na=False)
    for clip in clips[: 2 * ARTISTS].itertuples():
        source = ROOT / "data" / str(clip.file)
        target = folder / f"LIBRARY/{clip.artist}/{clip.title}{source.suffix}"
        target.parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(source, target)
    made = ("--out", str(folder / "library.csv"), "--library", str(folder / "library.sqlite"))
    command = [TWINEAR, "library", "sync", folder / "LIBRARY", *made]
    subprocess.run(command, check=True)  # noqa: S603  # our own program


@contextmanager
def served(folder: Path) -> Iterator[str]:
    """Serve the catalogue and the music, and give the address."""
    options = ["--music", folder / "LIBRARY", "--items", folder / "library.csv"]
    options += ["--library", folder / "library.sqlite", "--port", "0"]
    command = [TWINEAR, "serve", *options]
    with subprocess.Popen(  # noqa: S603  # our own program
        command, stdout=subprocess.PIPE, text=True
    ) as process:
        assert process.stdout is not None  # noqa: S101
        try:
            yield process.stdout.readline().split()[-1]
        finally:
            process.terminate()


if __name__ == "__main__":
    with tempfile.TemporaryDirectory() as temporary:
        make_music(Path(temporary))
        with (
            served(Path(temporary)) as address,
            httpx.Client(base_url=address, timeout=300) as opened,
        ):
            text = json.dumps(record(opened, Path(temporary)), indent=1, ensure_ascii=False)
    write_text(HTTP_EXAMPLES, text)

"""The part of an OpenSubsonic server that knows what sounds alike: the extension sonicSimilarity.

Songs are named by the ids in the library's table. An answer is XML, or JSON where `f=json` asks for
it; errors have status 200 and a code, as the protocol wants it. Parameters come in the address or
as a form.

A client logs in with user, salt and token, which is the MD5 of password and salt, or with an API
key, which is the service's token. The password is the service's token where there is none of its
own. Without any secret everyone on this machine may ask.
"""

import hashlib
import json
import mimetypes
import re
from collections.abc import Awaitable, Callable, Mapping, Sequence
from importlib.metadata import version
from typing import Any
from urllib.parse import parse_qsl
from xml.etree import ElementTree

from fastapi import APIRouter, Request, Response
from fastapi.concurrency import run_in_threadpool

from twinear.base.errors import DataError
from twinear.recommendation.item_library import ItemLibrary, SimilarItem
from twinear.recommendation.library_table import LibraryItem
from twinear.serve.auth import is_same
from twinear.serve.doors.bodies import read_body
from twinear.serve.doors.library import require_library
from twinear.serve.options import ServeOptions
from twinear.serve.snapshot import shown

PROTOCOL = "1.16.1"
NAMESPACE = "http://subsonic.org/restapi"
EXTENSIONS = ("sonicSimilarity", "apiKeyAuthentication", "formPost")
MOST = 500  # songs of an answer
GENERIC, MISSING, CREDENTIALS, MECHANISM, TWO_WAYS, API_KEY, NOT_FOUND = 0, 10, 40, 42, 43, 44, 70
# what no XML can hold
NOT_XML = re.compile("[^\t\n\r\x20-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")
ELEMENTS = ("similarity",)  # values that are elements of their own in XML, not attributes

Params = Mapping[str, str]
Payload = dict[str, Any]


class ProtocolError(Exception):
    """An error with its code in the protocol."""

    def __init__(self, code: int, message: str) -> None:
        super().__init__(message)
        self.code = code


def _ping(params: Params, options: ServeOptions, library: ItemLibrary | None) -> Payload:
    """Say that the service is there, and the credentials are right."""
    return {}


def _license(params: Params, options: ServeOptions, library: ItemLibrary | None) -> Payload:
    """Say that no licence is needed, which some clients ask when they log in."""
    return {"license": {"valid": True}}


def _token_info(params: Params, options: ServeOptions, library: ItemLibrary | None) -> Payload:
    """Say whose API key it is."""
    return {"tokenInfo": {"username": options.subsonic_user or "twinear"}}


def _extensions(params: Params, options: ServeOptions, library: ItemLibrary | None) -> Payload:
    """List what this server has beyond Subsonic; no credentials are needed."""
    return {"openSubsonicExtensions": [{"name": name, "versions": [1]} for name in EXTENSIONS]}


def _similar(params: Params, options: ServeOptions, library: ItemLibrary | None) -> Payload:
    """Find the songs most like one."""
    song, count = _required(params, "id"), _count(params, 10)
    known = require_library(library)
    return _matches(known.similar(known.find(song), count))


def _path(params: Params, options: ServeOptions, library: ItemLibrary | None) -> Payload:
    """Find a path from one song to another; `similarity` is that with the song before."""
    ends, count = (
        [_required(params, f"{end}SongId") for end in ("start", "end")],
        _count(params, 25),
    )
    known = require_library(library)
    first, last = map(known.find, ends)
    try:
        return _matches(known.path(first, last, max(count, 2)))
    except DataError as error:
        raise ProtocolError(GENERIC, f"there is no path: {error.parts[1]}") from None


METHODS: dict[str, Callable[[Params, ServeOptions, ItemLibrary | None], Payload]] = {
    "ping": _ping,
    "getLicense": _license,
    "tokenInfo": _token_info,
    "getOpenSubsonicExtensions": _extensions,
    "getSonicSimilarTracks": _similar,
    "findSonicPath": _path,
}
PUBLIC = ("getOpenSubsonicExtensions",)
TEXT, COUNT = {"type": "string"}, {"type": "integer", "minimum": 1}
LOGIN = {"u": TEXT, "t": TEXT, "s": TEXT, "apiKey": TEXT}
ASKED: dict[str, dict[str, Payload]] = {  # the parameters of a method, for the API's description
    "getSonicSimilarTracks": {"id": TEXT, "count": COUNT},
    "findSonicPath": {"startSongId": TEXT, "endSongId": TEXT, "count": COUNT},
}


def check_credentials(params: Params, options: ServeOptions) -> None:
    """Check who asks.

    Raises
    ------
    ProtocolError
        Credentials are missing (10), wrong (40, 44), of two kinds (43), or of a kind that shows the
        password (42).
    """
    secret = options.subsonic_password or options.token
    if "apiKey" in params:
        if "u" in params:
            raise ProtocolError(TWO_WAYS, "apiKey and u exclude each other")
        if secret and not (options.token and is_same(params["apiKey"], options.token)):
            raise ProtocolError(API_KEY, "the API key is wrong")
        return
    if not secret:
        return
    user, token, salt = (params.get(each, "") for each in ("u", "t", "s"))
    if "p" in params and not token:
        raise ProtocolError(MECHANISM, "passwords are not taken: send t and s, or apiKey")
    for name in ("u", "t", "s"):
        if not params.get(name):
            raise ProtocolError(MISSING, f"required parameter is missing: {name}")
    expected = hashlib.md5((secret + salt).encode(errors="replace"), usedforsecurity=False)
    right_user = not options.subsonic_user or is_same(user, options.subsonic_user)
    if not is_same(token.lower(), expected.hexdigest()) or not right_user:
        raise ProtocolError(CREDENTIALS, "wrong username or password")


def _required(params: Params, name: str) -> str:
    if not params.get(name):
        raise ProtocolError(MISSING, f"required parameter is missing: {name}")
    return params[name]


def _count(params: Params, default: int) -> int:
    text = params.get("count") or str(default)
    if not (text.isascii() and text.isdigit() and int(text[:10]) >= 1):
        raise ProtocolError(GENERIC, f"count is '{text[:20]}', expected a number from 1")
    return min(int(text[:10]), MOST)


def _matches(found: Sequence[SimilarItem]) -> Payload:
    return {
        "sonicMatch": [
            {"entry": _child(each.item), "similarity": round(each.score, 6)} for each in found
        ]
    }


def _child(item: LibraryItem) -> Payload:
    """Describe a song; a value that is unknown is left out."""
    kind, _ = mimetypes.guess_type(item.file.name)
    texts = {
        "artist": item.artist,
        "artistId": item.artist_id,
        "album": item.album,
        "suffix": item.file.suffix[1:].lower(),
        "contentType": kind or "",
    }
    return {
        "id": shown(item.item_id),
        "isDir": False,
        "title": shown(item.title),
        **{name: shown(text) for name, text in texts.items() if text},
        "duration": round(item.seconds),
        "isVideo": False,
        "type": "music",
        "mediaType": "song",
    }


def format_response(payload: Payload, error: ProtocolError | None, kind: str) -> Response:
    """Write an answer as JSON or XML."""
    answer: Payload = {
        "status": "failed" if error else "ok",
        "version": PROTOCOL,
        "type": "twinear",
        "serverVersion": version("twinear"),
        "openSubsonic": True,
        **payload,
    }
    if error:
        answer["error"] = {"code": error.code, "message": shown(str(error))}
    if kind == "json":
        text = json.dumps({"subsonic-response": answer}, ensure_ascii=False)
        return Response(text, media_type="application/json")
    root = _element("subsonic-response", answer)
    root.set("xmlns", NAMESPACE)
    content = ElementTree.tostring(root, encoding="utf-8", xml_declaration=True)
    return Response(content, media_type="application/xml")


def _element(name: str, value: Any) -> ElementTree.Element:
    """Write a value as an element: what it holds are attributes, lists and objects are elements."""
    element = ElementTree.Element(name)
    if not isinstance(value, dict):
        element.text = _text(value)
        return element
    for key, held in value.items():
        if isinstance(held, list):
            element.extend(_element(key, each) for each in held)
        elif isinstance(held, dict) or key in ELEMENTS:
            element.append(_element(key, held))
        else:
            element.set(key, _text(held))
    return element


def _text(value: str | float | bool) -> str:
    """Write a value; letters that no XML can hold are replaced.

    Examples
    --------
    >>> _text(True), _text(0.5), _text("a" + chr(0))
    ('true', '0.5', 'a?')
    """
    if isinstance(value, bool):
        return str(value).lower()
    return NOT_XML.sub("?", str(value))


def _endpoint(name: str) -> Callable[[Request], Awaitable[Response]]:
    async def answer(request: Request) -> Response:
        method = name or request.path_params["method"].removesuffix(".view")
        params = dict(request.query_params)
        if request.method == "POST":
            body = await read_body(request)
            if body is None:
                return format_response({}, ProtocolError(GENERIC, "the form is too large"), "xml")
            params |= dict(parse_qsl(body.decode(errors="replace"), keep_blank_values=True))
        return await run_in_threadpool(_answer, request, method, params)

    answer.__doc__ = METHODS[name].__doc__ if name else None
    return answer


def _answer(request: Request, method: str, params: Params) -> Response:
    state, kind = request.app.state, params.get("f", "xml")
    try:
        if kind not in ("json", "xml"):
            raise ProtocolError(GENERIC, "f has to be json or xml")
        if method not in METHODS:
            raise ProtocolError(GENERIC, f"{method[:50]} is not served, only {', '.join(METHODS)}")
        if method not in PUBLIC:
            check_credentials(params, state.options)
        snapshot = request.scope["state"].get("snapshot")
        library = state.libraries.of(snapshot) if snapshot else None
        return format_response(METHODS[method](params, state.options, library), None, kind)
    except ProtocolError as error:
        return format_response({}, error, kind)
    except DataError as error:
        _, found, _, remedy = error.parts
        return format_response({}, ProtocolError(NOT_FOUND, f"{found}; {remedy}"), kind)


def _describe(method: str, verb: str) -> Payload:
    """Describe the parameters of a method, which an error names by its own code."""
    login = {} if method in PUBLIC else LOGIN
    schemas = {"f": {"enum": ["json", "xml"], "default": "xml"}, **login, **ASKED.get(method, {})}
    if verb == "GET":
        listed = [{"name": name, "in": "query", "schema": each} for name, each in schemas.items()]
        return {"parameters": listed}
    form = {"schema": {"type": "object", "properties": schemas}}
    return {"requestBody": {"content": {"application/x-www-form-urlencoded": form}}}


router = APIRouter(prefix="/rest", tags=["OpenSubsonic"])
for _method in METHODS:
    for _suffix in ("", ".view"):
        for _verb in ("GET", "POST"):
            router.add_api_route(
                f"/{_method}{_suffix}",
                _endpoint(_method),
                methods=[_verb],
                name=f"{_method}{_verb.title()}",
                include_in_schema=not _suffix,
                openapi_extra=_describe(_method, _verb),
                response_class=Response,
            )
router.add_api_route(
    "/{method}", _endpoint(""), methods=["GET", "POST"], name="other", include_in_schema=False
)

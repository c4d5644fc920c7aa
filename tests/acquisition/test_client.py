"""A client keeps a service's limits exactly, survives its faults, and shows no secrets."""

import json
import logging
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from email.utils import formatdate
from pathlib import Path
from typing import Any

import httpx
import pytest

from tests.support.services import REPLIES, FakeArtist, FakeClock, FakeServices, Reply, hammer
from twinear.acquisition.network.client import Client, RequestPolicy, user_agent
from twinear.acquisition.network.errors import (
    ConnectionFailedError,
    ExpiredUrlError,
    InvalidContentError,
    NotFoundError,
    RequestRefusedError,
    ServiceUnavailableError,
    SourceError,
    ThrottledError,
    UnauthorisedError,
)
from twinear.acquisition.network.exchange import require_safe_redirect
from twinear.acquisition.network.rate_limit import CircuitBreaker, RateLimit, SystemClock
from twinear.acquisition.network.response_cache import ResponseCache
from twinear.acquisition.previews.services import deezer, itunes, musicbrainz
from twinear.base.errors import TwinearError

AGENT = user_agent("someone@example.org")
ARTISTS = (FakeArtist(name="Air", deezer=7, itunes=8),)
PATH = "/artist/7"
PREVIEW = "/cdn/itunes/800.plus.aac.p.m4a"

QUICK: dict[str, Any] = {"n": 1000, "seconds": 0.1, "attempts": 4}


Ask = Callable[..., Client]


@pytest.fixture
def ask(world: FakeServices) -> Iterator[Ask]:
    """Make a client of the fake Deezer."""
    world.slow_seconds = 60.0  # far beyond every time-out
    clients = ExitStack()

    def make(cache: Path | None = None, clock: SystemClock | None = None, **policy: Any) -> Client:
        client = Client(
            "deezer",
            world.url_of("deezer"),
            AGENT,
            RequestPolicy(**{**QUICK, **policy}),
            cache=ResponseCache(cache) if cache else None,
            clock=clock or world.clock,
        )
        return clients.enter_context(client)

    with clients:
        yield make


# faults

PASSING = {
    "408": ServiceUnavailableError,
    "429": ThrottledError,
    "429 after 7": ThrottledError,
    "429 after nonsense": ThrottledError,
    "500": ServiceUnavailableError,
    "502": ServiceUnavailableError,
    "503": ThrottledError,
    "503 after 3": ThrottledError,
    "html 503": ThrottledError,
    "reset": ConnectionFailedError,
    "hang up": ConnectionFailedError,
    "204": InvalidContentError,
    "html": InvalidContentError,
    "empty": InvalidContentError,
    "list": InvalidContentError,
    "null": InvalidContentError,
    "number": InvalidContentError,
    "deep": InvalidContentError,
    "cut json": InvalidContentError,
    "latin": InvalidContentError,
    "gzip": InvalidContentError,
    "nonsense": InvalidContentError,
    "truncated": InvalidContentError,
    "redirect nowhere": InvalidContentError,
    "redirect to nonsense": InvalidContentError,
}
LASTING = {
    "400": RequestRefusedError,
    "401": UnauthorisedError,
    "403": RequestRefusedError,
    "teapot": RequestRefusedError,
    "404": NotFoundError,
    "huge": RequestRefusedError,
    "endless": RequestRefusedError,
    "redirect to a file": RequestRefusedError,
    "redirect to ftp": RequestRefusedError,
}


@pytest.mark.parametrize("fault", PASSING)
def test_what_may_pass_is_tried_again(world: FakeServices, ask: Ask, fault: str) -> None:
    world.script("deezer", fault, fault)
    before = world.clock.now()
    assert ask().get(PATH)["name"] == "Air"
    assert world.count("deezer") == 3
    assert world.clock.now() - before > 1


@pytest.mark.parametrize(("fault", "kind"), PASSING.items())
def test_what_does_not_pass_is_told_in_the_end(
    world: FakeServices, ask: Ask, fault: str, kind: type[SourceError]
) -> None:
    world.script("deezer", *[fault] * 4)
    with pytest.raises(kind, match=r"^deezer /artist/7: ") as caught:
        ask().get(PATH)
    assert type(caught.value) is kind
    assert world.count("deezer") == 4


@pytest.mark.parametrize(("fault", "kind"), LASTING.items())
def test_what_will_not_pass_is_told_at_once(
    world: FakeServices, ask: Ask, fault: str, kind: type[SourceError]
) -> None:
    world.script("deezer", fault)
    before = time.monotonic()
    with pytest.raises(kind, match=r"^deezer /artist/7: ") as caught:
        ask().get(PATH)
    assert type(caught.value) is kind
    assert world.count("deezer") == 1
    assert time.monotonic() - before < world.slow_seconds / 2


def test_waits_grow_and_are_jittered(world: FakeServices, ask: Ask) -> None:
    world.script("deezer", *["500"] * 5)
    client = ask(attempts=6, backoff_seconds=2, max_backoff_seconds=10)
    client.get(PATH)
    assert isinstance(world.clock, FakeClock)
    waits = [wait for wait in world.clock.slept if wait > 0.5]
    assert len(waits) == 5
    assert len(set(waits)) == 5
    for wait, longest in zip(waits, (2, 4, 8, 10, 10), strict=True):
        assert longest / 2 <= wait <= longest


def test_retry_after_is_kept_by_all_threads(world: FakeServices, ask: Ask) -> None:
    client = ask()
    world.script("deezer", "429 after 7")
    hammer(lambda _: client.get(PATH), 1)
    client.get(PATH)
    times = [request.at for request in world.requests("deezer")]
    assert times[1] - times[0] >= 7


def test_retry_after_may_be_a_date(
    world: FakeServices, ask: Ask, monkeypatch: pytest.MonkeyPatch
) -> None:
    date = formatdate(world.clock.now() + 40, usegmt=True)
    monkeypatch.setitem(REPLIES, "503", Reply(status=503, headers={"Retry-After": date}))
    world.script("deezer", "503")
    ask().get(PATH)
    first, second = (request.at for request in world.requests())
    assert second - first >= 39


def test_a_service_that_wants_an_hour_gets_it(world: FakeServices, ask: Ask) -> None:
    client = ask()
    world.script("deezer", "429 after an hour")
    with pytest.raises(ServiceUnavailableError, match="answers 429"):
        client.get(PATH)
    with pytest.raises(ServiceUnavailableError, match=r"deezer: is away.* 360\d s"):
        client.get(PATH)
    assert world.count() == 1
    world.clock.sleep(3601)
    assert client.get(PATH)["id"] == 7


def test_a_service_that_fails_is_left_alone_and_then_tried_once(
    world: FakeServices, ask: Ask
) -> None:
    client = ask(attempts=1, failures=3, away_seconds=100)
    world.script("deezer", *["500"] * 4)
    for _ in range(5):
        with pytest.raises(ServiceUnavailableError):
            client.get(PATH)
    assert world.count() == 3
    world.clock.sleep(101)
    for _ in range(3):
        with pytest.raises(ServiceUnavailableError):
            client.get(PATH)
    assert world.count() == 4
    world.clock.sleep(101)
    for _ in range(3):
        client.get(PATH)
    assert world.count() == 7


def test_only_one_request_tries_whether_a_service_is_back() -> None:
    clock = FakeClock()
    breaker = CircuitBreaker(1, 100.0, clock)
    breaker.failed()
    clock.sleep(101)
    assert breaker.away_for() == 0
    assert breaker.away_for() == pytest.approx(100)
    breaker.succeeded()
    assert breaker.away_for() == 0


def test_refusals_are_no_failures(world: FakeServices, ask: Ask) -> None:
    client = ask(attempts=1, failures=2)
    world.script("deezer", *["400", "500"] * 5)
    for _ in range(10):
        with pytest.raises(SourceError):
            client.get(PATH)
    assert world.count() == 10


def test_a_host_that_is_not_there_is_away() -> None:
    policy = RequestPolicy(**QUICK)
    client = Client("deezer", "http://127.0.0.1:9", AGENT, policy, clock=FakeClock())
    with client, pytest.raises(ConnectionFailedError, match=r"deezer /artist/7: .*ConnectError"):
        client.get(PATH)


# time


@pytest.mark.parametrize("fault", ["slow", "drip", "drip body"])
def test_an_answer_that_does_not_come_is_not_waited_for(
    world: FakeServices, ask: Ask, fault: str
) -> None:
    world.script("deezer", fault)
    before = time.monotonic()
    assert ask(read_seconds=0.6, total_seconds=0.8).get(PATH)["id"] == 7
    assert 0.5 < time.monotonic() - before < world.slow_seconds / 2
    assert world.count() == 2


def test_a_proxy_of_the_environment_is_used_and_bound_by_time(
    world: FakeServices, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HTTP_PROXY", world.url.replace("://", "://someone:word@"))
    monkeypatch.setenv("NO_PROXY", "localhost")
    monkeypatch.delenv("http_proxy", raising=False)
    monkeypatch.delenv("no_proxy", raising=False)
    world.slow_seconds = 60.0
    world.script("deezer", "drip")
    policy = RequestPolicy(**QUICK, total_seconds=0.8)
    url = "http://music.example/deezer"
    with Client("deezer", url, AGENT, policy, clock=world.clock) as client:
        assert client.get(PATH)["id"] == 7
    assert [seen.headers["host"] for seen in world.requests()] == ["music.example"] * 2
    assert world.requests()[0].headers["proxy-authorization"].startswith("Basic ")


# redirects


def test_a_redirect_is_followed_within_the_limit(world: FakeServices, ask: Ask) -> None:
    world.script("deezer", "redirect once")
    client = ask(n=1, seconds=10)
    assert client.get(PATH)["id"] == 7
    assert world.count() == 2
    assert world.most("deezer", 10) == 1


def test_endless_redirects_end(world: FakeServices, ask: Ask) -> None:
    world.script("deezer", "redirect")
    with pytest.raises(RequestRefusedError, match="redirects more than 5 times"):
        ask().get(PATH)
    assert world.count() == 6


def test_a_secret_is_not_taken_to_another_host(world: FakeServices, ask: Ask) -> None:
    world.script("deezer", "redirect to another host")
    ask().get(PATH, headers={"Authorization": "Bearer s3cret"})
    first, second = world.requests()
    assert first.headers["authorization"] == "Bearer s3cret"
    assert "authorization" not in second.headers
    assert second.headers["host"].startswith("localhost")


@pytest.mark.parametrize("url", ["http://a.example/", "file:///etc/passwd", "ftp://a.example/"])
def test_a_redirect_never_leads_out_of_https(url: str) -> None:
    with pytest.raises(RequestRefusedError, match="deezer: redirects from https to "):
        require_safe_redirect("deezer", httpx.URL("https://a.example/"), httpx.URL(url))


# downloads


def test_a_preview_is_put_on_disk(world: FakeServices, ask: Ask, tmp_path: Path) -> None:
    ask().download(world.url + PREVIEW, tmp_path / "new" / "a.m4a")
    assert (tmp_path / "new" / "a.m4a").read_bytes()[4:8] == b"ftyp"
    assert [path.name for path in (tmp_path / "new").iterdir()] == ["a.m4a"]


@pytest.mark.parametrize(
    "fault", ["truncated", "reset", "hang up", "503", "429", "html", "empty", "gzip", "drip body"]
)
def test_a_preview_is_fetched_again_after_a_fault(
    world: FakeServices, ask: Ask, tmp_path: Path, fault: str
) -> None:
    client = ask(total_seconds=0.5)
    client.download(world.url + PREVIEW, tmp_path / "whole")
    world.script("cdn", fault, fault)
    client.download(world.url + PREVIEW, tmp_path / "again")
    assert (tmp_path / "again").read_bytes() == (tmp_path / "whole").read_bytes()
    assert world.count("cdn") == 4


@pytest.mark.parametrize(
    ("fault", "kind", "requests"),
    [
        ("truncated", InvalidContentError, 4),
        ("empty", InvalidContentError, 4),
        ("html", InvalidContentError, 4),
        ("reset", ServiceUnavailableError, 4),
        ("403", ExpiredUrlError, 1),
        ("404", NotFoundError, 1),
        ("huge", RequestRefusedError, 1),
        ("endless", RequestRefusedError, 1),
        ("redirect to a file", RequestRefusedError, 1),
        ("400", RequestRefusedError, 1),
    ],
)
def test_a_preview_that_cannot_be_had_leaves_nothing(
    world: FakeServices,
    ask: Ask,
    tmp_path: Path,
    fault: str,
    kind: type[SourceError],
    requests: int,
) -> None:
    old = tmp_path / "a.m4a"
    old.write_text("what was there")
    world.script("cdn", *[fault] * requests)
    with pytest.raises(kind, match=r"^deezer preview: "):
        ask().download(world.url + PREVIEW, old)
    assert [path.name for path in tmp_path.iterdir()] == ["a.m4a"]
    assert old.read_text() == "what was there"
    assert world.count("cdn") == requests


@pytest.mark.parametrize(
    "url",
    [
        "",
        "file:///etc/passwd",
        "ftp://a.example/x",
        "/etc/passwd",
        "http://",
        "http://a:port/",
        "data:,x",
    ],
)
def test_an_address_that_is_none_is_not_asked(
    world: FakeServices, ask: Ask, tmp_path: Path, url: str
) -> None:
    with pytest.raises(RequestRefusedError, match=r"^deezer preview: .*URL"):
        ask().download(url, tmp_path / "a")
    assert not list(tmp_path.iterdir())


def test_a_body_may_be_as_large_as_allowed(world: FakeServices, ask: Ask, tmp_path: Path) -> None:
    ask().download(world.url + PREVIEW, tmp_path / "a")
    n = (tmp_path / "a").stat().st_size
    ask(max_clip_bytes=n).download(world.url + PREVIEW, tmp_path / "b")
    with pytest.raises(RequestRefusedError, match=f"is larger than {n - 1} bytes"):
        ask(max_clip_bytes=n - 1).download(world.url + PREVIEW, tmp_path / "c")


# answers on disk


def test_an_answer_is_asked_for_once(world: FakeServices, ask: Ask, tmp_path: Path) -> None:
    first = ask(tmp_path).get(PATH, {"q": "é"})
    assert ask(tmp_path).get(PATH, {"q": "é"}) == first
    assert world.count() == 1
    ask(tmp_path).get(PATH, {"q": "e"})
    ask(tmp_path).get(PATH)
    assert world.count() == 3


def test_an_old_answer_is_asked_for_again(world: FakeServices, ask: Ask, tmp_path: Path) -> None:
    client = ask(tmp_path, max_age_seconds=1000)
    for wait in (0, 900, 200, 900):
        world.clock.sleep(wait)
        client.get(PATH)
    assert world.count() == 2


@pytest.mark.parametrize("text", ["", "{", "[]", '{"at":1}', '{"at":"x","answer":{}}', "null"])
def test_an_answer_that_was_spoiled_is_asked_for_again(
    world: FakeServices, ask: Ask, tmp_path: Path, text: str
) -> None:
    right = ask(tmp_path).get(PATH)
    (file,) = tmp_path.rglob("*.json")
    file.write_text(text)
    assert ask(tmp_path).get(PATH) == right
    assert ask(tmp_path).get(PATH) == right
    assert world.count() == 2


def test_what_is_fresh_comes_from_the_service(
    world: FakeServices, ask: Ask, tmp_path: Path
) -> None:
    for _ in range(2):
        ask(tmp_path).get(PATH, fresh=True)
    assert world.count() == 2
    assert not list(tmp_path.rglob("*.json"))


def test_a_refusal_is_not_kept(world: FakeServices, ask: Ask, tmp_path: Path) -> None:
    world.script("deezer", "400")
    with pytest.raises(RequestRefusedError):
        ask(tmp_path).get(PATH)
    assert ask(tmp_path).get(PATH)["id"] == 7


def test_only_what_may_be_kept_goes_to_disk(world: FakeServices, ask: Ask, tmp_path: Path) -> None:
    first = ask(tmp_path).get(PATH, to_cache=lambda answer: {"id": answer["id"]})
    assert first["name"] == "Air"
    assert ask(tmp_path).get(PATH) == {"id": 7}


def test_threads_may_keep_one_answer_at_once(world: FakeServices, ask: Ask, tmp_path: Path) -> None:
    client = ask(tmp_path)
    assert len(hammer(lambda _: client.get(PATH), 40).answers) == 40
    (file,) = tmp_path.rglob("*.json")
    assert json.loads(file.read_text())["answer"]["id"] == 7
    cache = ResponseCache(tmp_path)
    hammer(lambda n: cache.write("deezer", "one", {"n": "x" * 50_000}, n), 400)
    assert cache.read("deezer", "one", 0.0) == {"n": "x" * 50_000}
    assert not list(tmp_path.rglob("*.part"))


# secrets


def test_secrets_are_told_to_nobody(
    world: FakeServices, ask: Ask, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    client = ask(tmp_path / "answers", attempts=2)
    headers = {"Authorization": "Bearer s3cret"}
    client.get(PATH, headers=headers)
    messages = []
    faults = [*PASSING, *LASTING, "redirect"]
    for fault in faults:
        for attempt in (
            lambda: client.get(PATH, {"key": "s3cret"}, headers=headers, fresh=True),
            lambda: client.download(f"{world.url}{PREVIEW}?sig=s3cret", tmp_path / "a"),
        ):
            world.script("deezer", fault, fault)
            world.script("cdn", fault, fault)
            try:
                attempt()
            except SourceError as error:
                messages.append(f"{error!r} {error.__cause__!r}")
            world._scripts.clear()
            world.clock.sleep(4000)
    assert len(messages) > 1.5 * len(faults)  # some bodies are as good as any to a download
    files = [path.read_text() for path in (tmp_path / "answers").rglob("*") if path.is_file()]
    assert len(files) == 2
    assert "s3cret" not in " ".join([*messages, *files, caplog.text])


# limits

REAL = {service.NAME: service.REQUEST_POLICY for service in (deezer, itunes, musicbrainz)}


def test_the_limits_are_those_of_the_services() -> None:
    limits = {name: (policy.n, policy.seconds) for name, policy in REAL.items()}
    assert limits == {"deezer": (50, 5), "itunes": (20, 60), "musicbrainz": (1, 1)}


@pytest.mark.parametrize("name", REAL)
def test_no_window_sees_more_than_the_limit(world: FakeServices, ask: Ask, name: str) -> None:
    n, seconds = REAL[name].n, REAL[name].seconds
    client = ask(n=n, seconds=seconds)
    before = world.clock.now()
    assert len(hammer(lambda _: client.get(PATH), 210).answers) == 210
    assert world.count() == 210
    assert world.most("deezer", seconds) <= n
    assert world.clock.now() - before <= 2 * 210 / n * seconds  # and none waits without need


def test_the_limit_holds_in_real_time_and_under_faults(ask: Ask, world: FakeServices) -> None:
    world.clock = SystemClock()
    world.mishaps(0.2, {"deezer": ("500", "429", "reset", "html", "hang up")})
    client = ask(
        clock=SystemClock(), n=6, seconds=0.25, attempts=9, backoff_seconds=0.02, failures=99
    )
    assert len(hammer(lambda _: client.get(PATH), 60, threads=12).answers) == 60
    assert world.count() > 60
    assert world.most("deezer", 0.25) <= 6


def test_a_request_that_is_long_under_way_still_counts(world: FakeServices, ask: Ask) -> None:
    """It may have arrived at its very end: its slot is free a window after its answer."""
    world.clock = SystemClock()
    world.slow_seconds = 0.3
    client = ask(clock=SystemClock(), n=1, seconds=0.2)
    world.script("deezer", "slow")
    client.get(PATH)
    client.get(PATH)
    first, second = (request.at for request in world.requests())
    assert second - first >= 0.5


def test_a_program_started_again_keeps_the_limit(
    world: FakeServices, ask: Ask, tmp_path: Path
) -> None:
    for _ in range(4):
        client = ask(tmp_path, n=5, seconds=2)
        for _ in range(4):
            client.get(PATH, {"n": world.count()})
    assert world.most("deezer", 2) <= 5
    before = world.clock.now()
    world.clock.sleep(100)
    ask(tmp_path, n=5, seconds=2).get(PATH, {"n": -1})
    assert world.clock.now() - before == pytest.approx(100)


def test_an_interrupted_wait_gives_its_slot_back() -> None:
    class Interrupting(FakeClock):
        def sleep(self, seconds: float) -> None:
            super().sleep(seconds)
            if len(self.slept) == 1:
                raise KeyboardInterrupt

    limit = RateLimit(1, 5.0, Interrupting())
    with limit.slot():
        pass
    with pytest.raises(KeyboardInterrupt), limit.slot():
        pass
    with limit.slot():
        pass


# contact


def test_the_user_is_named(world: FakeServices, ask: Ask) -> None:
    ask().get(PATH)
    agent = world.requests()[0].headers["user-agent"]
    assert agent.startswith("twinear/")
    assert agent.endswith(" (someone@example.org)")


@pytest.mark.parametrize("contact", ["a@b.org", " a@b.org ", "https://example.org/me?x=1"])
def test_a_contact_is_an_address(contact: str) -> None:
    assert user_agent(contact).endswith(f"({contact.strip()})")


@pytest.mark.parametrize("contact", ["", "me", "a@b", "a@b.org\r\nX: y", "a (b)@c.org", "jö@b.org"])
def test_what_is_no_contact_is_refused(contact: str) -> None:
    with pytest.raises(TwinearError, match=r"^contact: .*e-mail address"):
        user_agent(contact)


def test_a_base_address_that_is_none_is_refused() -> None:
    with pytest.raises(TwinearError, match=r"deezer's URL: file:///x, expected http://"):
        Client("deezer", "file:///x", AGENT, RequestPolicy(**QUICK))

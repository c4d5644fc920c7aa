"""The services on loopback, and clients of them."""

from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

from tests.support.services import FakeClock, FakeServices
from twinear.acquisition.network.client import Client, RequestPolicy, user_agent
from twinear.acquisition.network.response_cache import ResponseCache

Connect = Callable[[str, RequestPolicy], Client]


@pytest.fixture
def world(request: pytest.FixtureRequest) -> Iterator[FakeServices]:
    """Services that know the `ARTISTS` of the test's module, with a clock that does not wait."""
    with FakeServices(*request.module.ARTISTS, clock=FakeClock()) as services:
        yield services


@pytest.fixture
def connect(world: FakeServices, tmp_path: Path) -> Iterator[Connect]:
    """Make a client of one of the services; responses are kept in `tmp_path / "answers"`."""
    with ExitStack() as stack:

        def make(service: str, policy: RequestPolicy) -> Client:
            return stack.enter_context(
                Client(
                    service,
                    world.url_of(service),
                    user_agent("someone@example.org"),
                    policy,
                    cache=ResponseCache(tmp_path / "answers"),
                    clock=world.clock,
                )
            )

        yield make

"""One service of the finished sample, which most tests ask."""

from collections.abc import Iterator

import pytest

from tests.conftest import Project
from tests.support.serving import Service, copy_served, running


@pytest.fixture(scope="session")
def service(finished: Project, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Service]:
    """A service of a copy of the finished project's catalogue; tests do not change it."""
    with running(copy_served(finished, tmp_path_factory.mktemp("served"))) as service:
        yield service

"""One service of the finished sample, which most tests ask."""

from collections.abc import Iterator

import pytest

from tests.conftest import Project
from tests.support.serving import Service, copy_served, plant_map, running


@pytest.fixture(scope="session")
def service(finished: Project, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Service]:
    """A service of a copy of the finished project's catalogue; tests do not change it."""
    options = copy_served(finished, tmp_path_factory.mktemp("served"))
    plant_map(options.catalogue)
    with running(options) as service:
        yield service

"""One service of the finished sample, which most tests ask."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.conftest import Project
from tests.support.serving import Service, copy_served, running, wait_for_map
from twinear.serve.map import FOLDER


@pytest.fixture(scope="session")
def service(finished: Project, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Service]:
    """A service of a copy of the finished project's catalogue; tests do not change it."""
    with running(copy_served(finished, tmp_path_factory.mktemp("served"))) as service:
        yield service


@pytest.fixture(scope="session")
def map_folder(service: Service) -> Path:
    """The map of the finished catalogue, to be put beside copies, which need not compute it."""
    wait_for_map(service)
    return service.options.catalogue.parent / FOLDER

"""A real server in its own process, and SDK clients."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from journeys.harness import Server, served
from sdk.meeting import Meeting


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """One server for a module."""
    with served(tmp_path_factory.mktemp("sdk")) as running:
        yield running


@pytest.fixture
def meeting(server: Server, tmp_path_factory: pytest.TempPathFactory) -> Meeting:
    """Makes people on that server, with stores of their own."""
    return Meeting(server.origin, tmp_path_factory.mktemp("stores"))

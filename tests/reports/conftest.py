"""A world per test."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from reports.world import World


@pytest.fixture
def world(tmp_path: Path) -> Iterator[World]:
    """An empty server."""
    made = World(tmp_path / "kith.db")
    yield made
    made.database.close_now()

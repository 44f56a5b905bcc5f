"""Fixtures of the safety room."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from safety.town import Town


@pytest.fixture
def town(tmp_path: Path) -> Iterator[Town]:
    """A town where every rule is live."""
    made = Town(tmp_path / "kith.db")
    yield made
    made.database.close_now()


@pytest.fixture
def shadow_town(tmp_path: Path) -> Iterator[Town]:
    """A town where every rule runs in shadow, as on a new server."""
    made = Town(tmp_path / "shadow.db", {})
    yield made
    made.database.close_now()

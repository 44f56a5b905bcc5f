"""Fixtures of the authorities room."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from authorities.bureau import Bureau


@pytest.fixture
def bureau(tmp_path: Path) -> Iterator[Bureau]:
    """A server with nobody at the other end of the line."""
    made = Bureau(tmp_path / "kith.db")
    yield made
    made.database.close_now()

"""Numbers that a deployment may tune live once, with unit, default and reason.

Each room has one frozen `Limits` class made of `limit(...)` fields; `docs/limits.md` is generated.
"""

from __future__ import annotations

from dataclasses import field
from typing import Any

SECOND = 1_000
MINUTE = 60 * SECOND
HOUR = 60 * MINUTE
DAY = 24 * HOUR


def limit(default: int, unit: str, because: str) -> Any:  # noqa: ANN401  a dataclass field
    """A tunable number: its default, its unit, and why it is what it is."""
    return field(default=default, metadata={"unit": unit, "because": because})

"""A request that cannot be served, in words for a person; edges turn it into HTTP or stream answers."""

from __future__ import annotations

from typing import Literal

Code = Literal[
    "invalid",
    "unauthenticated",
    "forbidden",
    "not_found",
    "conflict",
    "too_large",
    "misdirected",
    "limited",
    "read_only",
]


class Problem(Exception):  # noqa: N818  it is an answer to a person, not a programming error
    """Raised by edges (routes, stream) only; flows and policies return values.

    `message` says what to do next. `retry_after_ms` goes with `limited`; `decision` is the id that
    `kith why` explains.
    """

    def __init__(
        self, code: Code, message: str, *, retry_after_ms: int | None = None, decision: str | None = None
    ) -> None:
        super().__init__(message)
        self.code: Code = code
        self.message = message
        self.retry_after_ms = retry_after_ms
        self.decision = decision


def invalid(message: str) -> Problem:
    """The input is malformed; `message` says how to mend it."""
    return Problem("invalid", message)


def not_found() -> Problem:
    """The one answer for what is absent and for what this person may not know of."""
    return Problem("not_found", "There is nothing here, or it is not yours to see.")

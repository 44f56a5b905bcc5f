"""The key log for everybody: signed heads, proofs that it only grew, and every entry, readable signed out."""

from __future__ import annotations

from typing import Any

import msgspec
from litestar import Request, Router, get
from litestar.di import NamedDependency
from litestar.params import FromQuery

from kith.ledger.database import Database
from kith.ledger.problem import Problem, invalid, not_found
from kith.people import key_log
from kith.people.buckets import place_of
from kith.people.server import ServerFacts

MOST_ENTRIES = 500
_TOO_OFTEN = "That was asked too often. Wait a little, then go on."

MOST = 2**53


def within(number: int, lowest: int = 0, highest: int = MOST) -> int:
    """The same number, when a log can have it."""
    if not lowest <= number <= highest:
        raise invalid(f"A number in the address must lie between {lowest} and {highest}.")
    return number


class Log(msgspec.Struct, frozen=True, kw_only=True):
    """The newest head of the log, and what the log promises."""

    server_name: str
    configuration: bytes
    head: key_log.HeadView | None


def _charge(request: Request[Any, Any, Any], server: ServerFacts, now: int) -> None:
    address = request.client.host if request.client is not None else "unknown"
    wait = server.asked_log.charge(place_of(address), server.limits.log_address, now)
    if wait is not None:
        raise Problem("limited", _TOO_OFTEN, retry_after_ms=wait)


@get("/.well-known/kith-transparency.json")
async def show_log(
    request: Request[Any, Any, Any],
    database: NamedDependency[Database],
    server: NamedDependency[ServerFacts],
    first: FromQuery[int] = 0,
) -> Log:
    """The head, which continues the one of size `first`."""
    _charge(request, server, database.now())
    head = await database.read(key_log.head, server, within(first))
    return Log(server_name=server.name, configuration=key_log.configuration(server).encode(), head=head)


@get("/api/v1/transparency/head")
async def show_head(
    request: Request[Any, Any, Any],
    size: FromQuery[int],
    database: NamedDependency[Database],
    server: NamedDependency[ServerFacts],
    first: FromQuery[int] = 0,
) -> key_log.HeadView:
    """The head of an earlier size, and the proof that it continues that of size `first`."""
    _charge(request, server, database.now())
    head = await database.read(key_log.head_at, server, within(first), within(size))
    if head is None:
        raise not_found()
    return head


@get("/api/v1/transparency/log")
async def show_entries(
    request: Request[Any, Any, Any],
    database: NamedDependency[Database],
    server: NamedDependency[ServerFacts],
    after: FromQuery[int] = -1,
) -> list[key_log.PublicEntry]:
    """Entries after a position, oldest first, at most some hundred."""
    _charge(request, server, database.now())
    return await database.read(key_log.entries, within(after, -1), MOST_ENTRIES)


ROUTES: list[Router] = [Router("/", route_handlers=[show_log, show_head, show_entries])]

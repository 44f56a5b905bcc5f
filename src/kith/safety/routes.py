"""A person's safety notices over HTTP (docs/api.md: Notices)."""

from __future__ import annotations

from litestar import get, post
from litestar.di import NamedDependency
from litestar.params import FromPath

from kith.ledger.database import Database
from kith.ledger.problem import not_found
from kith.people.sessions import Session
from kith.safety import flows
from kith.safety.flows import Notice


@get("/api/v1/notices")
async def list_notices(database: NamedDependency[Database], session: NamedDependency[Session]) -> list[Notice]:
    """Facts about people who wrote to me; what concerns myself stands in my standing."""
    return await database.read(flows.notices_of, session.account)


@post("/api/v1/notices/{notice:str}/dismiss", status_code=204)
async def dismiss_notice(
    database: NamedDependency[Database], session: NamedDependency[Session], notice: FromPath[str]
) -> None:
    """Put a notice away; it does not come back."""
    if not await database.write(flows.dismiss, session.account, notice):
        raise not_found()


ROUTES = [list_notices, dismiss_notice]

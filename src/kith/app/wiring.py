"""The composition root: what depends on what, in one file, read from top to bottom."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from functools import partial
from pathlib import Path
from typing import Any

import structlog
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from litestar import Router
from litestar.enums import ScopeType
from litestar.types import ASGIApp, Receive, Scope, Send

from kith.app import audit_heads, backup, blob_s3, console, http, web
from kith.app.disk import LOOK_EVERY_S, Disk
from kith.app.files import Occupancy
from kith.app.jobs import Chore, Jobs, Reaction
from kith.app.keys import Keys
from kith.app.painting import Painter
from kith.app.push import Waker
from kith.app.settings import Settings, SettingsError
from kith.app.steady import Watch
from kith.app.stream import Hub
from kith.authorities import flows as authorities_flows
from kith.authorities import limits as authorities_limits
from kith.authorities import preservation
from kith.authorities import projections as authorities_projections
from kith.authorities import reactions as authorities_reactions
from kith.authorities import staff as authorities_staff
from kith.authorities.draft import Operator
from kith.authorities.environment import Destination
from kith.authorities.office import Office
from kith.authorities.submitter import Submitter
from kith.ledger import audit
from kith.ledger import log as ledger
from kith.ledger.database import Database, Projector, Projectors, Reader, Tx
from kith.ledger.events import Event
from kith.ledger.failstop import StorageError
from kith.ledger.problem import Problem
from kith.messaging import blob_routes, push_routes
from kith.messaging import facts as room_facts
from kith.messaging import group_routes as messaging_group_routes
from kith.messaging import limits as messaging_limits
from kith.messaging import projections as messaging_projections
from kith.messaging import reactions as messaging_reactions
from kith.messaging import routes as messaging_routes
from kith.messaging.blob_format import DamagedError
from kith.messaging.blob_keeper import Keeper
from kith.messaging.blob_storage import StorageAwayError
from kith.messaging.blobs import Span
from kith.messaging.flows import blobs as blob_flows
from kith.messaging.flows import pushing, sweeping
from kith.people import flows as people_flows
from kith.people import handles, key_log
from kith.people import limits as people_limits
from kith.people import projections as people_projections
from kith.people import retention as people_retention
from kith.people import routes as people_routes
from kith.people.server import ServerFacts
from kith.protocol.attachments import AttachmentRefusedError
from kith.reports import attachments
from kith.reports import flows as reports_flows
from kith.reports import keeping as reports_keeping
from kith.reports import limits as reports_limits
from kith.reports import projections as reports_projections
from kith.reports import reactions as reports_reactions
from kith.reports import routes as reports_routes
from kith.reports import staff as reports_staff
from kith.reports.desk import Desk
from kith.reports.sealing import EvidenceKey
from kith.reports.shell import ConsoleFacts
from kith.safety import flows as safety_flows
from kith.safety import limits as safety_limits
from kith.safety import projections as safety_projections
from kith.safety import reactions as safety_reactions
from kith.safety import routes as safety_routes
from kith.safety.rules import RULE_IDS

log = structlog.get_logger("kith")

MINUTE_S = 60.0
HOUR_S = 3600.0
DAY_S = 24 * HOUR_S
SUBMIT_S = 2.0
"""How often approved CyberTips are looked for; each call then follows the one before at once."""


def projectors() -> Projectors:
    """Every room's projectors, merged: several rooms may draw their own picture of one event."""
    merged: dict[type[Event], tuple[Projector, ...]] = {}
    for module in (
        ledger,
        people_projections,
        messaging_projections,
        safety_projections,
        reports_projections,
        authorities_projections,
    ):
        for kind, own in module.PROJECTORS.items():
            merged[kind] = (*merged.get(kind, ()), *own)
    return merged


LIMITS: Mapping[str, type] = {
    "people": people_limits.Limits,
    "messaging": messaging_limits.Limits,
    "safety": safety_limits.Limits,
    "reports": reports_limits.Limits,
    "authorities": authorities_limits.Limits,
}


class RoomFacts:
    """What reports must know about rooms, handed over as functions."""

    def was_member(self, reader: Reader, room: str, account: str, seq: int) -> bool:
        """Was this account in the room when message `seq` was accepted?"""
        return room_facts.was_member(reader, room, account, seq)

    def head_seq(self, reader: Reader, room: str) -> int:
        """The number of the room's last message."""
        return room_facts.last_seq(reader, room)


class BlobFacts:
    """What reports must do with attachments, handed over as functions."""

    def __init__(self, keeper: Keeper) -> None:
        self._keeper = keeper

    def hold(self, tx: Tx, blob: str, size: int, holder: str) -> bool:
        """Keep a complete blob for evidence."""
        return blob_flows.hold(tx, blob, size, holder)

    def release(self, tx: Tx, holder: str) -> None:
        """The evidence is destroyed."""
        blob_flows.release(tx, holder)

    def is_own(self, reader: Reader, account: str, blob: str) -> bool:
        """Whether it is this account's own complete upload."""
        there = blob_flows.found(reader, blob)
        return there is not None and there.complete and there.account == account

    async def is_there(self, blob: str, size: int) -> bool | None:
        """Whether a held blob still lies there."""
        try:
            return await self._keeper.is_there(blob, size)
        except StorageAwayError as away:
            log.warning("blob-storage-away", because=str(away))
            return None

    async def read(self, blob: str, size: int, start: int, stop: int) -> AsyncIterator[bytes]:
        """Bytes of a held blob."""
        try:
            async for piece in self._keeper.evidence(blob, size, Span(start, stop)):
                yield piece
        except DamagedError as flaw:  # of another size, taken back, or lost with a disk or an older backup
            raise AttachmentRefusedError("attachment_missing") from flaw
        except StorageAwayError as flaw:
            raise Problem("read_only", blob_routes.AWAY, retry_after_ms=blob_routes.RETRY_MS) from flaw


def _settings(data: Path) -> Settings:
    """The settings, if every rule that they name exists."""
    settings = Settings.load(data / "kith.toml")
    if unknown := sorted(set(settings.rules) - RULE_IDS):
        raise SettingsError(f"There is no rule {', '.join(unknown)}. Rules: {', '.join(sorted(RULE_IDS))}.")
    return settings


class Kith:
    """One server: its settings, keys, database, applications and jobs."""

    def __init__(self, data: Path) -> None:
        self.data = data
        self.settings = _settings(data)
        self.keys = Keys(data / "keys")
        self.disk = Disk(data, self.settings.disk_reserve_mb)
        if danger := self.disk.check_blocks():
            raise StorageError(danger)
        if obstacle := backup.unfinished(data):
            raise SettingsError(obstacle)
        self._occupancy = Occupancy(data)
        self.database = Database(data / "kith.db", projectors())
        self.database.create_tables()
        self.watch = Watch(self.database.clock)
        self.server = self._server()
        evidence = EvidenceKey(self.keys.evidence)
        self.office, self.submitter = self._office(evidence)
        lies = blob_s3.configured(self.settings, data)
        self.blobs = Keeper(self.database, lies, free=lambda: self.disk.free() - self.disk.reserve)
        self.blob_facts = BlobFacts(self.blobs)
        self.desk = Desk(evidence, server=self.settings.server_name, blobs=self.blob_facts, paint=Painter())
        self.waker = self._waker()
        self.hub = Hub(
            self.database, self.server, self.keys, disk=self.disk, missed=self.waker.missed, came=self.waker.came
        )
        self.people = PeopleSide(self._people_app(), self.hub)
        self.staff = self._staff_app()
        self.jobs = Jobs(self.database, self._reactions(), self._chores())
        self.database.listeners += [self.hub.listener, self.jobs.listener, self.waker.listener]

    def _server(self) -> ServerFacts:
        """What every room may know of the server."""
        return ServerFacts(
            name=self.settings.server_name,
            origin=self.settings.origin,
            ticket_key=self.keys.tickets,
            log_key=self.keys.log,
            clock=self.database.now,
            met=room_facts.met,
            also_held={
                "messaging": room_facts.held,
                "safety notices": safety_flows.notices_of,
                "reports": reports_flows.held,
            },
        )

    def _office(self, evidence: EvidenceKey) -> tuple[Office, Submitter]:
        """Who answers for CyberTips, and what sends them; a server whose settings could send amiss does not start."""
        username, password = self.settings.tipline.credentials()
        operator = self.settings.operator
        office = Office(
            server=self.settings.server_name,
            key=evidence,
            operator=Operator(first_name=operator.first_name, last_name=operator.last_name, email=operator.email),
            destination=Destination(self.settings.tipline.endpoint, self.settings.tipline.production),
            has_credentials=bool(username and password),
        )
        if office.destination.endpoint and (decision := office.may_send()).refused:
            raise SettingsError(f"[tipline]: {decision.reasons[0].because}")
        return office, Submitter(self.database, office, username, password)

    def _waker(self) -> Waker:
        """What wakes devices that are not connected."""
        email = self.settings.operator.email
        return Waker(
            self.database,
            self.keys.push,
            contact=f"mailto:{email}" if email else self.settings.origin,
            services=self.settings.push_services,
            connected=lambda device: self.hub.has(device),  # noqa: PLW0108  the hub is made next
        )

    async def start(self) -> None:
        """Begin what runs by itself."""
        handles.skeleton("warm")  # its tables load once, and not while somebody waits
        await self.database.write(key_log.catch_up)
        await self.waker.start()
        self.jobs.start()

    async def _check_tipline(self) -> None:
        """Say at start-up, and then every hour, whether the CyberTipline knows us; nothing else waits for it."""
        if not self.office.destination.endpoint:
            return
        decision = await self.submitter.check()
        mode = self.office.destination.mode()
        if decision.refused:
            log.warning("cybertipline", mode=mode, because=decision.reasons[0].because)
        else:
            log.info("cybertipline", mode=mode, answer="ready")

    async def stop(self) -> None:
        """Stop, with everything confirmed on disk."""
        await self.jobs.stop()
        self.blobs.close()
        await self.waker.stop()
        await self.database.close()
        self._occupancy.leave()

    def _people_app(self) -> ASGIApp:
        kit = reports_routes.ReportsKit(
            rooms=RoomFacts(),
            hub_key=self.keys.hub_key,
            signing_key=self.keys.signing_key,
            desk=self.desk,
        )
        point = self.keys.push.public_key().public_bytes(Encoding.X962, PublicFormat.UncompressedPoint)
        push_facts = push_routes.PushFacts(point, self.settings.push_services)
        return http.people_app(
            database=self.database,
            server=self.server,
            keys=self.keys,
            client=web.client_folder(),
            disk=self.disk,
            routes=[
                *people_routes.ROUTES,
                *messaging_routes.ROUTES,
                *messaging_group_routes.ROUTES,
                *blob_routes.ROUTES,
                *push_routes.ROUTES,
                *safety_routes.ROUTES,
                Router("/api/v1", route_handlers=reports_routes.ROUTES),
            ],
            provide={
                "reports_kit": lambda: kit,
                "push_facts": lambda: push_facts,
                "notice_about": lambda: safety_flows.notice_for,
                "blobs": lambda: self.blobs,
            },
        )

    def _staff_app(self) -> ASGIApp:
        facts = ConsoleFacts(origin=self.settings.staff_origin, desk=self.desk, after_child_safety="/tips/of/{case}")
        return console.console_app(
            self.database,
            facts,
            pages=[*reports_staff.PAGES, *authorities_staff.pages(self.office)],
            templates=[reports_staff.TEMPLATES, authorities_staff.TEMPLATES],
            navigation=[*reports_staff.NAVIGATION, *authorities_staff.NAVIGATION],
        )

    def _reactions(self) -> list[Reaction]:
        safety = safety_reactions.reaction(self.settings.rules)
        return [
            Reaction(messaging_reactions.READER, messaging_reactions.react),
            Reaction(safety_reactions.READER, safety),
            Reaction(reports_reactions.READER, reports_reactions.react),
            Reaction(authorities_reactions.READER, authorities_reactions.reaction(self.office)),
        ]

    def _chores(self) -> list[Chore]:
        def flow(name: str, every_s: float, do: Any, *args: Any) -> Chore:  # noqa: ANN401  a flow and its arguments
            return Chore(name, every_s, lambda: self.database.write(do, *args))

        def for_good(chore: Chore) -> Chore:
            """Done only while the time can be believed."""
            return chore._replace(do=partial(self._when_time_is_sure, chore.do))

        return [
            for_good(flow("birthdays", HOUR_S, people_flows.advance_bands)),
            flow("key-log-idle", MINUTE_S, key_log.idle),
            for_good(flow("people-retention", HOUR_S, people_retention.sweep)),
            for_good(Chore("messaging-retention", MINUTE_S, self._sweep_rooms)),
            for_good(flow("push-silence", HOUR_S, pushing.sweep)),
            for_good(flow("messaging-forgetting", HOUR_S, sweeping.forget)),
            for_good(Chore("attachments-end", MINUTE_S, self.blobs.clear)),
            for_good(Chore("attachments-lost", HOUR_S, self.blobs.clear_lost)),
            flow("silence-becomes-an-answer", MINUTE_S, safety_flows.look_again, self.settings.rules),
            Chore("cybertipline-check", HOUR_S, self._check_tipline),
            Chore("cybertips", SUBMIT_S, self.submitter.run_once),
            Chore("audit-head", MINUTE_S, self._write_audit_head),
            for_good(flow("behaviour-is-forgotten", HOUR_S, safety_flows.forget_old)),
            flow("preservation-integrity", HOUR_S, preservation.check_integrity, self.office),
            for_good(flow("preservation-ends", HOUR_S, preservation.end_due)),
            for_good(Chore("evidence-ends", HOUR_S, self._forget_evidence)),
            Chore("evidence-is-there", DAY_S, self._look_after_evidence),
            Chore("hub-key-rotation", MINUTE_S, self._rotate),
            Chore("room-on-the-disk", LOOK_EVERY_S, self._look_at_disk),
        ]

    async def _when_time_is_sure(self, do: Callable[[], Awaitable[object]]) -> None:
        if self.watch.may_delete(self.database.now()):
            await do()

    async def _sweep_rooms(self) -> None:
        while await self.database.write(sweeping.sweep):  # each flow does a short piece and says if there is more
            pass

    async def _forget_evidence(self) -> None:
        held = authorities_flows.holds_case
        while await self.database.write(reports_keeping.forget, self.desk.limits, self.desk.blobs, held):
            pass

    async def _look_after_evidence(self) -> None:
        if lost := await attachments.look_after(self.database, self.blob_facts):
            log.error("evidence-lost", attachments=lost)

    async def _write_audit_head(self) -> None:
        audit_heads.append(self.data, await self.database.read(audit.head))

    async def _look_at_disk(self) -> None:
        self.disk.look()

    async def _rotate(self) -> None:
        if self.keys.reload():
            log.info("signing-key", answer="a new one serves")
        self.keys.rotate(self.database.now())


class PeopleSide:
    """The people's port: the stream for sockets, everything else for Litestar."""

    def __init__(self, app: ASGIApp, hub: Hub) -> None:
        self._app = app
        self._hub = hub

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Sockets to the hub, the rest to the routes."""
        if scope["type"] == ScopeType.WEBSOCKET:
            await self._hub(scope, receive, send)
        else:
            await self._app(scope, receive, send)

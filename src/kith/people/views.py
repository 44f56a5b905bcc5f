"""What people are shown about themselves, in the shapes of the interface."""

from __future__ import annotations

import msgspec

from kith.ledger.database import Reader
from kith.people import devices, enforcement, facts, sessions, standards, store
from kith.people.ages import Band
from kith.people.controls import Controls
from kith.people.protections import Protection, protections
from kith.people.server import ServerFacts
from kith.people.sessions import Session
from kith.people.standing import Measure, standing_of


class StandingView(msgspec.Struct, frozen=True):
    """A person's standing as she sees it."""

    can_start_conversations: bool
    can_send: bool
    measures: tuple[Measure, ...]
    history: tuple[Measure, ...]


class Me(msgspec.Struct, frozen=True, kw_only=True):
    """Everything the client shows about the person who is signed in."""

    account_id: str
    device_id: str
    handle: str
    display_name: str
    band: Band
    joined_ms: int
    server_name: str
    has_identity: bool
    device_registered: bool
    controls: Controls
    protections: tuple[Protection, ...]
    standing: StandingView
    terms_version: str


class SessionAnswer(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """The answer to signing up, signing in and recovering. `token` and `known_device` only for programs."""

    account_id: str
    device_id: str
    share: bytes
    me: Me
    token: str | None = None
    known_device: str | None = None


class DeviceView(msgspec.Struct, frozen=True, kw_only=True):
    """A signed-in device as its owner sees it."""

    id: str
    name: str
    created_ms: int
    last_seen_ms: int
    current: bool


class DevicesView(msgspec.Struct, frozen=True):
    """All signed-in devices, and the version of the newest signed list."""

    devices: list[DeviceView]
    list_version: int


class IdentityView(msgspec.Struct, frozen=True):
    """One's own identity key: public, and sealed under the recovery code."""

    aik: bytes | None
    sealed_aik: bytes | None


class StandardView(msgspec.Struct, frozen=True):
    """One community standard."""

    id: str
    title: str
    text: str


class TermsView(msgspec.Struct, frozen=True):
    """Terms and standards."""

    version: str
    terms: tuple[standards.Term, ...]
    standards: tuple[StandardView, ...]


TERMS = TermsView(
    standards.VERSION,
    standards.TERMS,
    tuple(StandardView(one.id, one.title, one.text) for one in standards.STANDARDS),
)


def standing(reader: Reader, account: str, server: ServerFacts) -> StandingView:
    """The account's standing now."""
    now = standing_of(enforcement.measures_of(reader, account, server.limits), reader.now)
    return StandingView(now.can_start_conversations, now.can_send, now.measures, now.history)


def me(reader: Reader, session: Session, server: ServerFacts) -> Me:
    """What the signed-in person sees of herself."""
    row = reader.one(store.ACCOUNT, id=session.account)
    card = reader.one(store.CARD, id=session.account)
    if row is None or card is None:
        raise LookupError(f"the session of {session.device} has no account")
    chosen = facts.controls(row)
    return Me(
        account_id=session.account,
        device_id=session.device,
        handle=card.handle,
        display_name=card.display_name,
        band=row.band,
        joined_ms=row.created_ms,
        server_name=server.name,
        has_identity=bool(row.has_identity),
        device_registered=devices.registered_device(reader, session.device) is not None,
        controls=chosen,
        protections=protections(row.band, row.band_ends_ms, chosen),
        standing=standing(reader, session.account, server),
        terms_version=row.terms_version,
    )


def session_answer(reader: Reader, session: Session, server: ServerFacts, token: str | None) -> SessionAnswer:
    """The answer to a device that has just signed in."""
    share = sessions.share_of(reader, session.device)
    if share is None:
        raise LookupError(f"{session.device} was signed out while it signed in")
    return SessionAnswer(
        account_id=session.account,
        device_id=session.device,
        share=share,
        me=me(reader, session, server),
        token=token,
    )


def my_devices(reader: Reader, session: Session) -> DevicesView:
    """The signed-in devices of a person."""
    rows = reader.all(store.DEVICES_OF, whose=session.account)
    return DevicesView(
        [
            DeviceView(
                id=row.device,
                name=row.name,
                created_ms=row.created_ms,
                last_seen_ms=row.seen_ms,
                current=row.device == session.device,
            )
            for row in rows
        ],
        devices.list_version(reader, session.account),
    )


def my_identity(reader: Reader, account: str) -> IdentityView:
    """One's own identity key and its sealed private half."""
    identity = devices.identity(reader, account)
    row = reader.one(store.RECOVERY, id=account)
    return IdentityView(None if identity is None else identity.aik, None if row is None else row.sealed_aik)

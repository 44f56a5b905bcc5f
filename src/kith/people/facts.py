"""What other rooms may know about a person when they decide something: never her names or addresses."""

from __future__ import annotations

from typing import NamedTuple

import msgspec

from kith.ledger.database import Reader, Row
from kith.people import ages, enforcement, handles, store
from kith.people.ages import Band
from kith.people.controls import Controls
from kith.people.limits import DEFAULT, Limits
from kith.people.standing import Standing


class Person(msgspec.Struct, frozen=True, kw_only=True):
    """A person as policies see her.

    `minor_as_target`: protected as a minor (band below 18, or unknown). `minor_as_actor`: judged as a minor
    in what she does towards minors (band below 18, declared at sign-up or reviewed). A corrected or unknown
    age is protected like a minor's and judged like an adult's.
    """

    account: str
    band: Band
    created_ms: int
    minor_as_target: bool
    minor_as_actor: bool
    controls: Controls
    standing: Standing


class Card(NamedTuple):
    """The public minimum that a request shows of its sender."""

    handle: str
    display_name: str
    joined_ms: int


def load(reader: Reader, account: str, limits: Limits = DEFAULT) -> Person | None:
    """The person behind an account id, with her standing at this time; None when there is none."""
    row = reader.one(store.ACCOUNT, id=account)
    if row is None:
        return None
    return Person(
        account=account,
        band=row.band,
        created_ms=row.created_ms,
        minor_as_target=ages.protected(row.band),
        minor_as_actor=ages.acts_as_minor(row.band, confirmed=bool(row.band_confirmed)),
        controls=controls(row),
        standing=enforcement.standing(reader, account, limits),
    )


def controls(row: Row) -> Controls:
    """The controls in a row of `accounts`."""
    return Controls(row.requests, bool(row.read_receipts), bool(row.typing))


def by_handle(reader: Reader, handle_text: str) -> str | None:
    """The account with exactly this handle, however it was typed (case, width); None for anything else."""
    handle = handles.normalised(handle_text)
    return None if handle is None else reader.value(store.BY_HANDLE, typed=handle)


def card(reader: Reader, account: str) -> Card | None:
    """The names of an account and when it joined, for those who may see them."""
    row = reader.one(store.CARD, id=account)
    return None if row is None else Card(row.handle, row.display_name, row.created_ms)

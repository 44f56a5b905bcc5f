"""Welcomes that come again and commits that lose: a group goes forward or not at all."""

from __future__ import annotations

import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any, cast

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from msgspec.structs import replace

from kith.protocol import uris
from kith.protocol.frames import COMMIT, WELCOME, Mail
from kith.protocol.mls.engine import Committed
from kith.protocol.mls.group import Group
from kith.protocol.signing import public_bytes
from kith.sdk.key_log import KeyLog
from kith.sdk.records import GroupRecord, PackageRecord, Roster
from kith.sdk.room import HEALED, NOT_JOINED, Heard, Room, World
from kith.sdk.vault import Vault
from sdk.meeting import CHEAP, PASSPHRASE

HOST = "kith.test"
ANN, BEN, ROOM = (f"00000000-0000-4000-8000-00000000000{n}" for n in (1, 2, 3))
NOW_S = int(time.time())
DAY_S = 24 * 3600


class Trusting:
    """A directory in which everybody is listed."""

    def roster(self, _room: str) -> tuple[str, str]:
        """Both."""
        return (ANN, BEN)

    def who(self, _room: str) -> Roster:
        """A chat of two."""
        return Roster(accounts=(ANN, BEN))

    known_roster = who

    def standing(self, *_: object) -> str:
        """As certified."""
        return "listed"

    def all_known(self, *_: object) -> None:
        """Nothing is left to ask."""


def device_of(account: str, vault: Vault | None) -> World:
    """A device of an account; the device's id is the account's."""
    key = Ed25519PrivateKey.generate()
    return World(
        vault=cast("Vault", vault),
        directory=cast("Any", Trusting()),
        server=HOST,
        account=account,
        device=account,
        signature_key=public_bytes(key),
        signer=key,
        log=KeyLog(cast("Vault", vault), account),
    )


class Chat:
    """Ann makes a group and adds Ben by his last-resort package, whose secret he keeps; Ben is the SDK."""

    def __init__(self, vault: Vault) -> None:
        self.ben = device_of(BEN, vault)
        self.engine = device_of(ANN, None).engine(lambda _identity, _key: True)
        self.group: Group = self.engine.create_group(
            uris.group_id(ROOM), not_before=NOW_S - 60, not_after=NOW_S + DAY_S
        )
        self.pos = 0
        package = self.ben.engine(lambda _identity, _key: True).new_key_package(
            not_before=NOW_S - 60, not_after=NOW_S + DAY_S, last_resort=True
        )
        self.package = package.message
        with vault.transaction():
            record = PackageRecord(secret=package.secret, last_resort=True, not_after_ms=(NOW_S + DAY_S) * 1000)
            vault.put("keys", f"kp/{package.ref.hex()}", record)
        self.room = Room(self.ben, ROOM)

    def commit(self, *, adds: bool = False, removes: list[int] | None = None) -> Committed[Group]:
        """A commit of Ann's that won its epoch."""
        made = self.engine.commit(self.group, now_s=NOW_S, adds=[self.package] if adds else [], removes=removes or [])
        self.group = self.engine.apply_own(made.state)
        self.pos += 1
        return made

    def gives(self, kind: int, body: bytes | None) -> list[str]:
        """Ben's device gets this as the newest mail; what it says in the thread."""
        assert body is not None
        self.room.take(Mail(self.pos, kind, ROOM, self.pos, body, None))
        self.room.turn(NOW_S * 1000, set(), online=False)
        return [effect.row.text for effect in self.room.effects() if isinstance(effect, Heard)]

    @property
    def epoch(self) -> int:
        """Where Ben stands."""
        group = self.room.group()
        assert group is not None
        return group.epoch

    def breaks(self) -> None:
        """Ben's device could not follow the chat any more."""
        vault = self.ben.vault
        record = vault.get("groups", ROOM, GroupRecord)
        assert record is not None
        with vault.transaction():
            vault.put("groups", ROOM, replace(record, broken="fork"))


@pytest.fixture
def chat(tmp_path: Path) -> Iterator[Chat]:
    """Ben has joined at epoch 1 and followed to epoch 2; then his device lost the thread."""
    vault = Vault.open(tmp_path / "ben.kith", PASSPHRASE, CHEAP)
    made = Chat(vault)
    yield made
    vault.close()


def to_epoch_2(chat: Chat) -> bytes:
    """Join, follow one commit; the Welcome that was used."""
    welcome = chat.commit(adds=True).welcome
    assert welcome is not None
    chat.gives(WELCOME, welcome)
    chat.gives(COMMIT, chat.commit().commit)
    assert chat.epoch == 2
    return welcome


def test_a_welcome_that_was_used_does_not_turn_a_group_back(chat: Chat) -> None:
    """Neither while the group lives nor when it is broken: its keys would serve twice."""
    welcome = to_epoch_2(chat)
    before = chat.ben.vault.get("groups", ROOM, GroupRecord)
    chat.pos += 1
    assert chat.gives(WELCOME, welcome) == []
    assert chat.ben.vault.get("groups", ROOM, GroupRecord) == before
    chat.breaks()
    broken = chat.ben.vault.get("groups", ROOM, GroupRecord)
    chat.pos += 1
    assert chat.gives(WELCOME, welcome) == [NOT_JOINED]
    assert chat.ben.vault.get("groups", ROOM, GroupRecord) == broken


def test_without_the_check_it_would_be_turned_back(chat: Chat, monkeypatch: pytest.MonkeyPatch) -> None:
    """The control: the secret of a last-resort package opens an old Welcome at any time."""
    welcome = to_epoch_2(chat)
    chat.breaks()
    monkeypatch.setattr(Room, "_goes_forward", lambda _self, _joined: True)
    chat.gives(WELCOME, welcome)
    assert chat.epoch == 1


def test_a_newer_welcome_heals_a_broken_group(chat: Chat) -> None:
    """Removed and added again: the group goes on from there."""
    to_epoch_2(chat)
    chat.breaks()
    (leaf,) = [one.leaf for one in chat.engine.roster(chat.group) if one.leaf != chat.group.own_leaf]
    chat.commit(removes=[leaf])
    welcome = chat.commit(adds=True).welcome
    assert chat.gives(WELCOME, welcome) == [HEALED]
    assert chat.epoch == chat.group.epoch == 4
    assert chat.room.has_group()


def test_what_a_commit_was_for_is_looked_at_again_when_another_won(chat: Chat) -> None:
    """The mail of the winner can come before our refusal: a device that we were adding must not be forgotten."""
    to_epoch_2(chat)
    record, group = chat.room._record(), chat.room.group()
    assert record is not None
    assert group is not None
    chat.room._propose(record, group, [], [])
    assert not chat.room.reconciling
    chat.gives(COMMIT, chat.commit().commit)
    assert chat.epoch == 3
    after = chat.room._record()
    assert after is not None
    assert after.pending_key is None
    assert chat.room.reconciling

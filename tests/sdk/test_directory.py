"""A lying server: what it may say about people, and what this device refuses to believe."""

from __future__ import annotations

import secrets
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import msgspec
import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from kith.protocol import identity
from kith.protocol.identity import DeviceEntry, DeviceList, Identity
from kith.protocol.signing import public_bytes
from kith.protocol.uris import account_uri, device_uri
from kith.sdk import answers
from kith.sdk.directory import Directory, KeysOf, Missing
from kith.sdk.errors import Unverified
from kith.sdk.vault import Vault
from sdk.meeting import CHEAP

HOST = "kith.test"
ME, ANN, ROOM = (f"00000000-0000-4000-8000-00000000000{n}" for n in range(3))
PHONE, GHOST = "00000000-0000-4000-8000-0000000000aa", "00000000-0000-4000-8000-0000000000bb"
FRESH = {KeysOf(ANN)}


@dataclass
class Person:
    """An account with an honest identity key and a device."""

    aik: Ed25519PrivateKey = field(default_factory=Ed25519PrivateKey.generate)
    mls_key: bytes = field(default_factory=lambda: secrets.token_bytes(32))

    def entry(self, device: str = PHONE) -> DeviceEntry:
        """A line of the list."""
        return DeviceEntry(device_uri(HOST, device), self.mls_key, 5)

    def served(self, version: int = 1, signed_ms: int = 7, devices: tuple[str, ...] = (PHONE,)) -> answers.Devices:
        """What an honest server says."""
        entries = tuple(
            replace(self.entry(one), mls_key=self.mls_key if one == PHONE else b"g" * 32) for one in devices
        )
        listed = DeviceList(account_uri(HOST, ANN), version, signed_ms, entries)
        certified = [
            answers.Device(
                one,
                entry.mls_key,
                5,
                identity.sign_certificate(self.aik, listed.account_uri, entry.device_uri, entry.mls_key, 5),
            )
            for one, entry in zip(devices, entries, strict=True)
        ]
        signature = identity.sign_device_list(self.aik, listed)
        return answers.Devices(ANN, public_bytes(self.aik), listed.encode(), signature, certified)


@pytest.fixture
def directory(tmp_path: Path) -> Iterator[Directory]:
    """A device that has seen nobody yet."""
    vault = Vault.open(tmp_path / "s", "pass", CHEAP)
    yield Directory(vault, HOST, ME, lambda *_: None)
    vault.close()


def standing(directory: Directory, person: Person, device: str = PHONE, accounts: tuple[str, ...] = (ME, ANN)) -> str:
    """How that device stands."""
    who = Identity(account_uri(HOST, ANN), device_uri(HOST, device))
    return directory.standing(accounts, who, person.mls_key, FRESH)


def test_all_who_are_not_known_are_asked_for_at_once(directory: Directory) -> None:
    """A room may have hundreds of people: one turn says whose keys are missing, not each turn one of them."""
    others = [f"0b0e7c0e-0000-4000-8000-{n:012x}" for n in range(20, 40)]
    assert directory.learn_keys(ANN, Person().served()) is False
    with pytest.raises(Missing) as missing:
        directory.all_known((ANN, *others), {KeysOf(others[0])})
    assert missing.value.facts == tuple(KeysOf(one) for one in others[1:])
    directory.all_known((ANN, others[0]), {KeysOf(others[0])})


def test_an_honest_answer_is_believed_and_asked_for_first(directory: Directory) -> None:
    """Nothing is assumed: before the answer the fact is missing, afterwards the device is listed."""
    ann = Person()
    who = Identity(account_uri(HOST, ANN), device_uri(HOST, PHONE))
    with pytest.raises(Missing):
        directory.standing((ME, ANN), who, ann.mls_key, set())
    assert directory.learn_keys(ANN, ann.served()) is False
    assert standing(directory, ann) == "listed"
    assert directory.devices(ANN, FRESH) == {device_uri(HOST, PHONE): ann.mls_key}


def test_a_device_nobody_signed_for_is_not_believed(directory: Directory) -> None:
    """Unlisted, of another room, of another key, or in a list that the account did not sign."""
    ann, ghost = Person(), Person()
    directory.learn_keys(ANN, ann.served())
    assert standing(directory, ann, GHOST) == "unlisted"
    assert standing(directory, ghost) == "refused"
    assert standing(directory, ann, accounts=(ME,)) == "refused"


@pytest.mark.parametrize("lie", ["list", "signature", "certificate", "key", "account"])
def test_every_forged_part_of_an_answer_is_refused(directory: Directory, lie: str) -> None:
    """One change at a time to an honest answer; no device of it is used."""
    ann, other = Person(), Person()
    honest, foreign = ann.served(), other.served()

    (device,) = honest.devices
    lies: dict[str, dict[str, Any]] = {
        "list": {"device_list": foreign.device_list},
        "signature": {"device_list_signature": foreign.device_list_signature},
        "certificate": {"devices": [msgspec.structs.replace(device, certificate=foreign.devices[0].certificate)]},
        "key": {"devices": [msgspec.structs.replace(device, mls_key=other.mls_key)]},
        "account": {"account": ME},
    }
    directory.learn_keys(ANN, msgspec.structs.replace(honest, **lies[lie]))
    assert standing(directory, ann) == "refused"
    with pytest.raises(Unverified):
        directory.devices(ANN, FRESH)
    directory.learn_keys(ANN, honest)
    assert standing(directory, ann) == "listed"


def test_lists_never_go_back_and_never_fork(directory: Directory) -> None:
    """An older version, or another list of the same version, is refused; a newer one is taken."""
    ann = Person()
    directory.learn_keys(ANN, ann.served(version=2))
    for wrong in (ann.served(version=1), ann.served(version=2, signed_ms=8)):
        directory.learn_keys(ANN, wrong)
        assert standing(directory, ann) == "refused"
    directory.learn_keys(ANN, ann.served(version=3, devices=(PHONE, GHOST)))
    assert standing(directory, ann) == "listed"


def test_a_new_identity_is_told_once_and_my_own_never_changes(directory: Directory) -> None:
    """Somebody set up again: accepted, and said. For the own account there is one key alone."""
    ann, again = Person(), Person()
    directory.learn_keys(ANN, ann.served(version=4))
    assert directory.learn_keys(ANN, again.served(version=1)) is True
    assert directory.learn_keys(ANN, again.served(version=2)) is False
    mine = Directory(directory._vault, HOST, ANN, lambda *_: None)
    mine.own_identity(public_bytes(ann.aik))
    mine.learn_keys(ANN, again.served(version=9))
    with pytest.raises(Unverified, match="your own account"):
        mine.devices(ANN, FRESH)


def well_known(manifest: identity.Manifest) -> answers.WellKnown:
    """What the server publishes."""
    lines = [answers.ManifestLine(one.entry, one.signature) for one in manifest.signed]
    return answers.WellKnown("n", "o", 1, "kith.v1", lines)


def test_server_keys_are_pinned_as_a_chain(directory: Directory) -> None:
    """A rotation is followed; another chain, or a shorter one, is refused and what is pinned stands."""
    first, second = Ed25519PrivateKey.generate(), Ed25519PrivateKey.generate()
    one = identity.first_manifest(first, first_hub_key_id=1, created_ms=1)
    two = identity.append_entry(one, signer=first, public_key=public_bytes(second), first_hub_key_id=5, created_ms=2)
    with pytest.raises(Missing):
        directory.hub_key(1)
    directory.learn_server(well_known(one))
    directory.learn_server(well_known(two))
    assert (directory.hub_key(4), directory.hub_key(5)) == (public_bytes(first), public_bytes(second))
    other = identity.first_manifest(second, first_hub_key_id=1, created_ms=1)
    for lie in (other, one):
        with pytest.raises(Unverified, match="dropped or altered"):
            directory.learn_server(well_known(lie))
    assert directory.hub_key(4) == public_bytes(first)


def test_a_chat_never_gets_other_people(directory: Directory) -> None:
    """Who is in a chat is pinned as first seen, and a chat without me is none of mine."""

    def room(*accounts: str) -> answers.Room:
        members = [answers.Member(one, "h", "n", "member") for one in accounts]
        return answers.Room(ROOM, members, 1, writable=True)

    with pytest.raises(Unverified):
        directory.learn_room(room(ANN))
    directory.learn_room(room(ME, ANN))
    directory.learn_room(room(ME, ANN, GHOST))
    assert directory.roster(ROOM) == (ME, ANN)

"""Key packages: verified at upload, issued once, bound to a room and a device, never without consent."""

from __future__ import annotations

from dataclasses import replace
from typing import Any
from uuid import uuid4

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from kith.ledger.events import IdentitySet
from kith.ledger.limits import DAY
from kith.messaging.flows import key_packages
from kith.messaging.flows.key_packages import Claim, Offered, read_offer
from kith.messaging.flows.writing import Sender
from kith.messaging.limits import DEFAULTS
from kith.messaging.outcomes import Refusal
from kith.people import blocks
from kith.people import store as people
from kith.protocol.wire import Malformed
from messaging.conftest import Pair
from messaging.mls import HOST, Phone
from messaging.town import Town


def sender(phone: Phone) -> Sender:
    """Who acts."""
    return Sender(phone.account, phone.device)


def store(town: Town, phone: Phone, *offers: Offered, last: Offered | None = None, **more: Any) -> Any:
    """Upload."""
    return town.do(key_packages.store_packages, sender(phone), offers, last, **more)


def claim(town: Town, by: Phone, room: str, *wanted: Phone, **more: Any) -> Any:
    """Claim."""
    return town.do(key_packages.claim, sender(by), room, [phone.device for phone in wanted], **more)


def test_each_package_is_issued_once_and_the_last_resort_again_and_again(town: Town, pair: Pair) -> None:
    """Two were left after the group was made."""
    store(town, pair.ben, last=town.offer(pair.ben))
    refs = [claim(town, pair.ana, pair.room, pair.ben).packages[0].ref for _ in range(5)]
    assert len(set(refs[:2])) == 2
    assert len(set(refs[2:])) == 1
    assert refs[2] not in refs[:2]
    assert town.ask(key_packages.available, pair.ben.device) == (0, True)


def test_without_packages_a_device_is_missing(town: Town, pair: Pair) -> None:
    """As are one's own device, devices of others, and what is no device at all."""
    eve = town.phone(town.person("eve"))
    town.stock(eve)
    for _ in range(2):
        claim(town, pair.ana, pair.room, pair.ben)
    answer = town.do(
        key_packages.claim, sender(pair.ana), pair.room, [pair.ben.device, pair.ana.device, eve.device, str(uuid4())]
    )
    assert answer.packages == []
    assert answer.missing[:3] == [pair.ben.device, pair.ana.device, eve.device]
    assert town.ask(key_packages.available, eve.device).available == 3


def test_a_device_named_twice_gets_one(town: Town, pair: Pair) -> None:
    """Duplicates in a claim drain nothing."""
    assert len(claim(town, pair.ana, pair.room, pair.ben, pair.ben).packages) == 1


def test_only_members_whose_connection_stands_may_claim(town: Town, pair: Pair) -> None:
    """Strangers find nothing; after a block there is the one sentence, for both sides."""
    eve = town.phone(town.person("eve"))
    assert claim(town, eve, pair.room, pair.ben).code == "absent"
    town.do(blocks.block, pair.ben.account, pair.ana.account)
    for by, target in ((pair.ana, pair.ben), (pair.ben, pair.ana)):
        refusal = claim(town, by, pair.room, target)
        assert (refusal.code, refusal.details) == ("not_allowed", "You can't send messages in this chat.")


def test_an_unregistered_device_neither_claims_nor_stores(town: Town, pair: Pair) -> None:
    """Only certified devices take part."""
    town.do(lambda tx: tx.run(people.KEY_END, id=pair.ana.device))
    assert claim(town, pair.ana, pair.room, pair.ben).code == "invalid"
    assert store(town, pair.ana, town.offer(pair.ana)).code == "invalid"


def test_expired_packages_are_never_issued(town: Town, pair: Pair) -> None:
    """Neither one-time nor last resort."""
    store(town, pair.ben, last=town.offer(pair.ben))
    town.clock.now += 80 * DAY
    assert claim(town, pair.ana, pair.room, pair.ben).missing == [pair.ben.device]


def test_packages_of_an_old_key_are_never_issued(town: Town, pair: Pair) -> None:
    """When the certified key is another one, what was stored under the old one is worth nothing."""
    town.do(lambda tx: tx.run(people.KEY_END, id=pair.ben.device))
    row = {"device": pair.ben.device, "mls_key": b"n" * 32, "added_ms": 1, "certificate": b"c" * 64}
    town.do(lambda tx: tx.put(people.device_keys, account=pair.ben.account, **row))
    assert claim(town, pair.ana, pair.room, pair.ben).missing == [pair.ben.device]


def test_a_new_identity_makes_old_packages_go(town: Town, pair: Pair) -> None:
    """Read from the ledger, within moments."""
    town.do(lambda tx: tx.append(IdentitySet(account=pair.ben.account, reset=True)))
    town.react()
    assert town.ask(key_packages.available, pair.ben.device).available == 0


def test_at_most_a_hundred_are_kept_and_all_or_none(town: Town) -> None:
    """The upload that would go over leaves nothing behind; a last resort replaces the one before."""
    phone = town.phone(town.person("ana"))
    few = replace(DEFAULTS, key_packages_stored=3)
    offers = [town.offer(phone) for _ in range(5)]
    assert store(town, phone, *offers[:2], limits=few) == (2, False)
    refusal = store(town, phone, *offers[2:4], limits=few)
    assert isinstance(refusal, Refusal)
    assert store(town, phone, offers[2], last=offers[3], limits=few) == (3, True)
    assert store(town, phone, last=offers[4], limits=few) == (3, True)


def test_a_package_is_uploaded_once_in_its_life(town: Town, pair: Pair) -> None:
    """Not twice in one body, not again while stored, not again after it was issued."""
    one, other = town.offer(pair.ben), town.offer(pair.ben)
    assert isinstance(store(town, pair.ben, one, one), Refusal)
    assert isinstance(store(town, pair.ben, one, last=one), Refusal)
    store(town, pair.ben, one)
    assert isinstance(store(town, pair.ben, other, one), Refusal)
    while town.ask(key_packages.available, pair.ben.device).available:
        claim(town, pair.ana, pair.room, pair.ben)
    assert isinstance(store(town, pair.ben, one), Refusal)


@pytest.mark.parametrize("days", [91, 0])
def test_a_package_lives_at_most_90_days(town: Town, days: int) -> None:
    """And is not over already."""
    phone = town.phone(town.person("ana"))
    with pytest.raises(Malformed):
        town.offer(phone, days)


def test_a_package_of_another_device_or_server_is_refused(town: Town) -> None:
    """Identity and key must be this device's."""
    ana, ben = town.phone(town.person("ana")), town.phone(town.person("ben"))
    package = ben.key_package(town.clock.now)
    for server, phone in ((HOST, ana), ("elsewhere.test", ben)):
        with pytest.raises(Malformed):
            read_offer(package, server=server, account=phone.account, device=phone.device, now_ms=town.clock.now)
    stolen = replace(ben, account=ana.account, device=ana.device)
    assert isinstance(store(town, ana, town.offer(stolen)), Refusal)


@given(at=st.integers(0, 10_000), bit=st.integers(0, 7))
@settings(max_examples=60, deadline=None)
def test_a_flipped_bit_is_refused(at: int, bit: int) -> None:
    """Anywhere in the package."""
    package = bytearray(PACKAGE)
    package[at % len(package)] ^= 1 << bit
    with pytest.raises(Malformed):
        read_offer(bytes(package), server=HOST, account=PHONE.account, device=PHONE.device, now_ms=NOW)


NOW = 1_767_225_600_000
PHONE = Phone(str(uuid4()), str(uuid4()))
PACKAGE = PHONE.key_package(NOW)


def test_claims_are_limited_per_requester_and_per_target(town: Town, pair: Pair) -> None:
    """A drain stops: the device is missing, or the account is told to wait."""
    store(town, pair.ben, last=town.offer(pair.ben))
    few = replace(DEFAULTS, claims_per_target=3)
    got = [len(claim(town, pair.ana, pair.room, pair.ben, limits=few).packages) for _ in range(4)]
    assert got == [1, 1, 0, 0]  # one was claimed for the group
    refusal = claim(town, pair.ana, pair.room, pair.ben, limits=replace(DEFAULTS, claims_per_requester=3))
    assert (refusal.code, refusal.retry_after_ms) == ("limited", 3_600_000)
    town.clock.now += DAY
    assert isinstance(claim(town, pair.ana, pair.room, pair.ben, limits=few), Claim)

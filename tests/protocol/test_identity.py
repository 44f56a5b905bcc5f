"""Certificates, device lists and the server key manifest: who a key belongs to, and that nobody else can say so."""

import hashlib
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kith.protocol.identity import (
    MAX_DEVICES,
    BadManifest,
    DeviceEntry,
    DeviceList,
    Identity,
    Manifest,
    ManifestEntry,
    SignedEntry,
    append_entry,
    continues,
    first_manifest,
    sign_certificate,
    sign_device_list,
    verify_certificate,
    verify_device_list,
    verify_manifest,
)
from kith.protocol.signing import public_bytes, sign_with_label, verify_with_label
from kith.protocol.uris import device_uri
from kith.protocol.wire import Malformed, vector
from protocol.franked import ALICE, ALICE_PHONE, BOB, BOB_PHONE, ROOM, SERVER, seeded, uuid

AIK = seeded(1)
AIK_PUBLIC = public_bytes(AIK)
MLS_KEY = public_bytes(seeded(2))
ADDED = 1_700_000_000_000

# --- signatures and identities --------------------------------------------------------------------------------------


def test_a_signature_holds_for_its_label_only() -> None:
    """The label keeps two uses of one key apart; the prefix is the RFC's."""
    signature = sign_with_label(AIK, "KithDevice", b"content")
    assert verify_with_label(AIK_PUBLIC, "KithDevice", b"content", signature)
    assert not verify_with_label(AIK_PUBLIC, "KithDeviceList", b"content", signature)
    assert not verify_with_label(AIK_PUBLIC, "KithDevice", b"content!", signature)
    assert AIK.sign(b"\x12MLS 1.0 KithDevice\x07content") == signature


def test_an_identity_survives_encoding() -> None:
    """V(account URI) then V(device URI), nothing else."""
    identity = Identity(ALICE, ALICE_PHONE)
    assert identity.encode() == vector(ALICE.encode()) + vector(ALICE_PHONE.encode())
    assert Identity.decode(identity.encode()) == identity


@pytest.mark.parametrize(
    "data",
    [
        b"",
        vector(ALICE.encode()),
        vector(ALICE_PHONE.encode()) + vector(ALICE.encode()),
        vector(ALICE.encode()) + vector(ROOM.encode()),
        vector(ALICE.encode()) + vector(ALICE_PHONE.encode()) + b"\0",
        vector(ALICE.encode()) + vector(device_uri("other.example", uuid(1)).encode()),
        vector(ALICE.upper().encode()) + vector(ALICE_PHONE.encode()),
        vector(b"alice") + vector(b"phone"),
    ],
)
def test_another_identity_is_malformed(data: bytes) -> None:
    """Wrong kinds, wrong order, another server's device, other spellings."""
    with pytest.raises(Malformed):
        Identity.decode(data)


@given(st.binary(max_size=200))
def test_arbitrary_bytes_are_a_value_or_malformed(data: bytes) -> None:
    """Decoders raise nothing else and re-encode what they accept."""
    for decoder in (Identity.decode, DeviceList.decode, ManifestEntry.decode):
        try:
            value: Any = decoder(data)
        except Malformed:
            continue
        assert value.encode() == data


# --- certificates ---------------------------------------------------------------------------------------------------


def test_a_certificate_holds_for_exactly_its_fields() -> None:
    """Account, device, key, time and signer are all bound."""
    fields: dict[str, Any] = {
        "aik_public": AIK_PUBLIC,
        "account_uri": ALICE,
        "device_uri": ALICE_PHONE,
        "mls_key": MLS_KEY,
        "added_ms": ADDED,
        "signature": sign_certificate(AIK, ALICE, ALICE_PHONE, MLS_KEY, ADDED),
    }
    assert verify_certificate(**fields)
    for name, value in (
        ("aik_public", MLS_KEY),
        ("account_uri", BOB),
        ("device_uri", BOB_PHONE),
        ("mls_key", AIK_PUBLIC),
        ("added_ms", ADDED + 1),
        ("signature", bytes(64)),
        ("signature", fields["signature"][:-1]),
        ("account_uri", ALICE_PHONE),
        ("mls_key", MLS_KEY[:-1]),
        ("added_ms", -1),
        ("added_ms", 2**64),
        ("aik_public", b""),
    ):
        assert not verify_certificate(**{**fields, name: value}), name


def test_a_certificate_needs_whole_fields() -> None:
    """One does not sign what nobody could verify."""
    with pytest.raises(Malformed):
        sign_certificate(AIK, ALICE, ALICE_PHONE, MLS_KEY[:-1], ADDED)
    with pytest.raises(Malformed):
        sign_certificate(AIK, ALICE, device_uri("other.example", uuid(1)), MLS_KEY, ADDED)


# --- device lists ---------------------------------------------------------------------------------------------------


def device(number: int) -> DeviceEntry:
    """A device of Alice's."""
    return DeviceEntry(device_uri(SERVER, uuid(number)), number.to_bytes(32, "big"), ADDED + number)


LIST = DeviceList(ALICE, 3, ADDED, (device(1), device(2)))


def test_a_device_list_survives_encoding() -> None:
    """Also an empty one and the largest one."""
    for entries in ((), LIST.entries, tuple(device(number) for number in range(1, MAX_DEVICES + 1))):
        devices = replace(LIST, entries=entries)
        assert DeviceList.decode(devices.encode()) == devices


def test_a_device_list_tells_the_key_of_a_device() -> None:
    """And nothing about a device that it does not hold."""
    assert LIST.key_of(device(2).device_uri) == device(2).mls_key
    assert LIST.key_of(device(9).device_uri) is None


@pytest.mark.parametrize(
    "entries",
    [
        (device(1), device(1)),
        (device(1), replace(device(2), mls_key=device(1).mls_key)),
        (device(1), replace(device(2), device_uri=device(1).device_uri)),
        (replace(device(1), device_uri=device_uri("other.example", uuid(1))),),
        (replace(device(1), device_uri=ALICE),),
        (replace(device(1), mls_key=b"short"),),
        tuple(device(number) for number in range(1, MAX_DEVICES + 2)),
    ],
)
def test_a_contradictory_device_list_is_malformed(entries: tuple[DeviceEntry, ...]) -> None:
    """A device or key twice, another server's device, too many: neither made nor read."""
    devices = replace(LIST, entries=entries)
    with pytest.raises(Malformed):
        devices.encode()
    raw = b"".join(
        vector(entry.device_uri.encode()) + vector(entry.mls_key) + entry.added_ms.to_bytes(8, "big")
        for entry in entries
    )
    head = vector(ALICE.encode()) + (3).to_bytes(8, "big") + ADDED.to_bytes(8, "big")
    with pytest.raises(Malformed):
        DeviceList.decode(head + vector(raw))


@given(st.integers(0, 10**6), st.integers(1, 255))
def test_a_device_list_with_any_byte_changed_is_not_signed(at: int, change: int) -> None:
    """The list is signed whole."""
    encoded = LIST.encode()
    signature = sign_device_list(AIK, LIST)
    assert verify_device_list(AIK_PUBLIC, encoded, signature)
    altered = bytearray(encoded)
    altered[at % len(altered)] ^= change
    assert not verify_device_list(AIK_PUBLIC, bytes(altered), signature)


# --- the manifest ---------------------------------------------------------------------------------------------------


def chain() -> Manifest:
    """Three hub signing keys in turn."""
    manifest = first_manifest(seeded(10), first_hub_key_id=1, created_ms=1000)
    for number, first in ((11, 8), (12, 20)):
        manifest = append_entry(
            manifest,
            signer=seeded(number - 1),
            public_key=public_bytes(seeded(number)),
            first_hub_key_id=first,
            created_ms=1000 * number,
        )
    return manifest


def test_a_manifest_proves_itself_and_serves_each_range() -> None:
    """Each id has the key of the entry whose range holds it."""
    manifest = verify_manifest(chain().signed)
    keys = [public_bytes(seeded(number)) for number in (10, 11, 12)]
    assert [manifest.key_for(key_id) for key_id in (0, 1, 7, 8, 19, 20, 2**32 - 1)] == [
        None,
        keys[0],
        keys[0],
        keys[1],
        keys[1],
        keys[2],
        keys[2],
    ]


def resigned(entry: ManifestEntry, signer: int) -> SignedEntry:
    """This entry, signed by that key."""
    encoded = entry.encode()
    return SignedEntry(encoded, sign_with_label(seeded(signer), "KithKeyManifest", encoded))


@pytest.mark.parametrize(
    "forge",
    [
        lambda _m: (),
        lambda m: m.signed[1:],
        lambda m: (m.signed[0], m.signed[2]),
        lambda m: m.signed[::-1],
        lambda m: (*m.signed, m.signed[2]),
        lambda m: (*m.signed[:2], replace(m.signed[2], signature=bytes(64))),
        lambda m: (*m.signed[:2], replace(m.signed[2], signature=m.signed[2].signature[:-1])),
        lambda m: (*m.signed[:2], replace(m.signed[2], entry=m.signed[2].entry + b"\0")),
        lambda m: (*m.signed[:2], resigned(m.entries[2], 12)),
        lambda m: (*m.signed[:2], resigned(m.entries[2], 10)),
        lambda m: (*m.signed[:2], resigned(replace(m.entries[2], first_hub_key_id=8), 11)),
        lambda m: (*m.signed[:2], resigned(replace(m.entries[2], first_hub_key_id=2), 11)),
        lambda m: (*m.signed[:2], resigned(replace(m.entries[2], created_ms=1), 11)),
        lambda m: (*m.signed[:2], resigned(replace(m.entries[2], previous_hash=b"h" * 32), 11)),
        lambda m: (*m.signed[:2], resigned(replace(m.entries[2], previous_hash=b""), 11)),
        lambda m: (*m.signed[:2], resigned(replace(m.entries[2], kind=2), 11)),
        lambda m: (*m.signed[:2], resigned(replace(m.entries[2], index=3), 11)),
        lambda m: (resigned(replace(m.entries[0], previous_hash=hashlib.sha256(b"").digest()), 10),),
        lambda m: (resigned(m.entries[0], 11),),
        lambda m: m.signed[:1] * 5000,
    ],
)
def test_a_broken_chain_is_refused(forge: Any) -> None:
    """Dropped, reordered, unsigned, wrongly signed, overlapping or unlinked entries."""
    with pytest.raises(Malformed):
        verify_manifest(forge(chain()))


def test_only_the_last_key_appoints_the_next() -> None:
    """Appending with another key gives no manifest."""
    with pytest.raises(BadManifest):
        append_entry(
            chain(), signer=seeded(99), public_key=public_bytes(seeded(99)), first_hub_key_id=30, created_ms=99_000
        )
    with pytest.raises(BadManifest):
        append_entry(
            chain(), signer=seeded(12), public_key=public_bytes(seeded(13)), first_hub_key_id=20, created_ms=99_000
        )


def test_a_pinned_manifest_may_only_grow() -> None:
    """Equal or longer continues; shorter, altered or foreign does not."""
    whole = chain()
    shorter = verify_manifest(whole.signed[:2])
    foreign = first_manifest(seeded(50), first_hub_key_id=1, created_ms=1000)
    later_signature = verify_manifest([resigned(whole.entries[0], 10), *whole.signed[1:]])
    assert continues(whole, whole)
    assert continues(shorter, whole)
    assert not continues(whole, shorter)
    assert not continues(whole, foreign)
    assert not continues(foreign, whole)
    assert continues(whole, later_signature), "Ed25519 is deterministic: the same entry has the same signature"


def test_numbers_out_of_range_are_malformed() -> None:
    """An id or time that does not fit is refused, not truncated."""
    entry = chain().entries[0]
    changes: tuple[dict[str, Any], ...] = ({"first_hub_key_id": 2**32}, {"created_ms": -1}, {"index": 2**32})
    for change in changes:
        with pytest.raises(Malformed):
            replace(entry, **change).encode()

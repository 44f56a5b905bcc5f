"""Who a key belongs to: credential identities, device certificates, device lists and the server key manifest.

An account's identity key (AIK, Ed25519) certifies each device's MLS signature key and signs the whole device list.
The server's signing keys stand in a manifest in which each entry is signed by its predecessor; clients pin it and
refuse one that drops or alters an entry. All signatures are SignWithLabel (RFC 9420 section 5.1.2); times are Unix
milliseconds.
"""

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from kith.protocol.signing import PUBLIC_KEY, SIGNATURE, public_bytes, sign_with_label, verify_with_label
from kith.protocol.uris import expect, parse_uri, read_uri
from kith.protocol.wire import Malformed, Reader, vector

_DEVICE_LABEL: Final = "KithDevice"
_LIST_LABEL: Final = "KithDeviceList"
_MANIFEST_LABEL: Final = "KithKeyManifest"
_MAX_URI: Final = 512

MAX_DEVICES: Final = 64
"""Entries of one device list that anybody is willing to read."""
MAX_MANIFEST: Final = 4096
"""Entries of one manifest that anybody is willing to verify: centuries of monthly rotation."""
HUB_SIGNING: Final = 1
"""The manifest entry kind of hub signing keys."""


# --- credential identity --------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Identity:
    """The identity in a basic credential: the account and which of its devices this leaf is."""

    account_uri: str
    device_uri: str

    def encode(self) -> bytes:
        """V(account URI) ‖ V(device URI)."""
        _same_server(expect(self.account_uri, "u"), expect(self.device_uri, "d"))
        return vector(self.account_uri.encode("ascii")) + vector(self.device_uri.encode("ascii"))

    @staticmethod
    def decode(data: bytes) -> "Identity":
        """The identity with exactly these bytes; both URIs must be of one server."""
        reader = Reader(data)
        identity = Identity(read_uri(reader.vector(max=_MAX_URI), "u"), read_uri(reader.vector(max=_MAX_URI), "d"))
        reader.done()
        _same_server(identity.account_uri, identity.device_uri)
        return identity


def _same_server(account_uri: str, device_uri: str) -> None:
    if parse_uri(account_uri)[0] != parse_uri(device_uri)[0]:
        raise Malformed("account and device are of different servers")


# --- device certificates --------------------------------------------------------------------------------------------


def _certificate_tbs(account_uri: str, device_uri: str, mls_key: bytes, added_ms: int) -> bytes:
    if len(mls_key) != PUBLIC_KEY:
        raise Malformed("an MLS signature key is not 32 bytes")
    return Identity(account_uri, device_uri).encode() + mls_key + _u64(added_ms)


def _u64(number: int) -> bytes:
    try:
        return number.to_bytes(8, "big")
    except OverflowError:
        raise Malformed("a number does not fit 64 bits") from None


def _u32(number: int) -> bytes:
    try:
        return number.to_bytes(4, "big")
    except OverflowError:
        raise Malformed("a number does not fit 32 bits") from None


def sign_certificate(aik: Ed25519PrivateKey, account_uri: str, device_uri: str, mls_key: bytes, added_ms: int) -> bytes:
    """The account's word that this MLS key is that device's, since `added_ms`."""
    return sign_with_label(aik, _DEVICE_LABEL, _certificate_tbs(account_uri, device_uri, mls_key, added_ms))


def verify_certificate(  # noqa: PLR0917 - the signed fields, and who signed them
    aik_public: bytes, account_uri: str, device_uri: str, mls_key: bytes, added_ms: int, signature: bytes
) -> bool:
    """Whether the account's key signed exactly this certificate. Ill-formed fields verify as nothing."""
    try:
        tbs = _certificate_tbs(account_uri, device_uri, mls_key, added_ms)
    except Malformed:
        return False
    return verify_with_label(aik_public, _DEVICE_LABEL, tbs, signature)


# --- device lists ---------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class DeviceEntry:
    """One device of an account and the MLS signature key it uses."""

    device_uri: str
    mls_key: bytes
    added_ms: int

    def encode(self) -> bytes:
        """`device_uri<V> | mls_key<V> | u64 added_ms`."""
        uri = expect(self.device_uri, "d").encode("ascii")
        if len(self.mls_key) != PUBLIC_KEY:
            raise Malformed("an MLS signature key is not 32 bytes")
        return vector(uri) + vector(self.mls_key) + _u64(self.added_ms)


@dataclass(frozen=True, slots=True)
class DeviceList:
    """All devices of an account at one version; versions only grow."""

    account_uri: str
    version: int
    signed_ms: int
    entries: tuple[DeviceEntry, ...]

    def encode(self) -> bytes:
        """`account_uri<V> | u64 version | u64 signed_ms | entries<V>`."""
        self._check()
        entries = b"".join(entry.encode() for entry in self.entries)
        uri = vector(expect(self.account_uri, "u").encode("ascii"))
        return uri + _u64(self.version) + _u64(self.signed_ms) + vector(entries)

    @staticmethod
    def decode(data: bytes) -> "DeviceList":
        """The list with exactly these bytes; no device and no key may stand in it twice."""
        reader = Reader(data)
        uri = read_uri(reader.vector(max=_MAX_URI), "u")
        version, signed_ms = reader.u64(), reader.u64()
        inner = Reader(reader.vector())
        reader.done()
        entries: list[DeviceEntry] = []
        while inner.left:
            if len(entries) == MAX_DEVICES:
                raise Malformed("a device list has too many devices")
            device = read_uri(inner.vector(max=_MAX_URI), "d")
            entries.append(DeviceEntry(device, inner.fixed_vector(PUBLIC_KEY), inner.u64()))
        devices = DeviceList(uri, version, signed_ms, tuple(entries))
        devices._check()
        return devices

    def key_of(self, device_uri: str) -> bytes | None:
        """The MLS signature key of that device, or None when the account does not list it."""
        return next((entry.mls_key for entry in self.entries if entry.device_uri == device_uri), None)

    def _check(self) -> None:
        if len(self.entries) > MAX_DEVICES:
            raise Malformed("a device list has too many devices")
        for entry in self.entries:
            _same_server(self.account_uri, entry.device_uri)
        for values in ({entry.device_uri for entry in self.entries}, {entry.mls_key for entry in self.entries}):
            if len(values) != len(self.entries):
                raise Malformed("a device list names a device or a key twice")


def sign_device_list(aik: Ed25519PrivateKey, devices: DeviceList) -> bytes:
    """The account's word that these, and no others, are its devices at this version."""
    return sign_with_label(aik, _LIST_LABEL, devices.encode())


def verify_device_list(aik_public: bytes, encoded: bytes, signature: bytes) -> bool:
    """Whether the account's key signed these bytes of a device list, as they were received."""
    return verify_with_label(aik_public, _LIST_LABEL, encoded, signature)


# --- the server key manifest ----------------------------------------------------------------------------------------


class BadManifest(Malformed):
    """A manifest that does not prove itself: a break in the chain of hashes, signatures or ranges."""


@dataclass(frozen=True, slots=True)
class ManifestEntry:
    """One server key. It serves `first_hub_key_id` up to the id before the next entry's first."""

    index: int
    kind: int
    public_key: bytes
    first_hub_key_id: int
    created_ms: int
    previous_hash: bytes

    def encode(self) -> bytes:
        """`u32 index | u8 kind | public_key<V> | u32 first_hub_key_id | u64 created_ms | previous_hash<V>`."""
        head = _u32(self.index) + bytes((self.kind,)) + vector(self.public_key)
        return head + _u32(self.first_hub_key_id) + _u64(self.created_ms) + vector(self.previous_hash)

    @staticmethod
    def decode(data: bytes) -> "ManifestEntry":
        """The entry with exactly these bytes."""
        reader = Reader(data)
        entry = ManifestEntry(
            index=reader.u32(),
            kind=reader.u8(),
            public_key=reader.fixed_vector(PUBLIC_KEY),
            first_hub_key_id=reader.u32(),
            created_ms=reader.u64(),
            previous_hash=reader.vector(max=hashlib.sha256().digest_size),
        )
        reader.done()
        return entry


@dataclass(frozen=True, slots=True)
class SignedEntry:
    """An entry's bytes as published, and the signature of its predecessor's key (its own for index 0)."""

    entry: bytes
    signature: bytes


@dataclass(frozen=True, slots=True)
class Manifest:
    """A chain of server keys that was verified from its first entry. Made by `verify_manifest`."""

    signed: tuple[SignedEntry, ...]
    entries: tuple[ManifestEntry, ...]

    def key_for(self, hub_key_id: int) -> bytes | None:
        """The public key that signed franks made with that hub key; None for ids before the first entry."""
        for entry in reversed(self.entries):
            if entry.first_hub_key_id <= hub_key_id:
                return entry.public_key
        return None


def append_entry(
    manifest: Manifest | None,
    *,
    signer: Ed25519PrivateKey,
    public_key: bytes,
    first_hub_key_id: int,
    created_ms: int,
) -> Manifest:
    """The manifest with one more hub signing key.

    `signer` is the private half of the last entry's key, or of `public_key` itself for the first entry.
    `first_hub_key_id` must lie above every id already used, or old messages would change their key.
    """
    signed = manifest.signed if manifest else ()
    previous = hashlib.sha256(signed[-1].entry).digest() if signed else b""
    entry = ManifestEntry(len(signed), HUB_SIGNING, public_key, first_hub_key_id, created_ms, previous).encode()
    return verify_manifest((*signed, SignedEntry(entry, sign_with_label(signer, _MANIFEST_LABEL, entry))))


def first_manifest(private: Ed25519PrivateKey, *, first_hub_key_id: int, created_ms: int) -> Manifest:
    """The manifest of a new server: one key, signed by itself."""
    return append_entry(
        None,
        signer=private,
        public_key=public_bytes(private),
        first_hub_key_id=first_hub_key_id,
        created_ms=created_ms,
    )


def verify_manifest(entries: Sequence[SignedEntry]) -> Manifest:
    """The manifest that these entries prove; BadManifest or Malformed otherwise.

    It proves that each key was appointed by the one before. That the first key is the right one, and that nothing
    was dropped since, is for `continues` and the pinned copy to say.
    """
    if not 1 <= len(entries) <= MAX_MANIFEST:
        raise BadManifest("a key manifest is empty or far too long")
    decoded: list[ManifestEntry] = []
    for index, signed in enumerate(entries):
        entry = ManifestEntry.decode(signed.entry)
        if entry.index != index or entry.kind != HUB_SIGNING:
            raise BadManifest("a key manifest entry is out of place or of an unknown kind")
        signer = entry.public_key
        if decoded:
            _follows(entry, decoded[-1], entries[index - 1].entry)
            signer = decoded[-1].public_key
        elif entry.previous_hash:
            raise BadManifest("the first key manifest entry has a predecessor")
        if len(signed.signature) != SIGNATURE or not verify_with_label(
            signer, _MANIFEST_LABEL, signed.entry, signed.signature
        ):
            raise BadManifest("a key manifest entry is not signed by its predecessor")
        decoded.append(entry)
    return Manifest(tuple(entries), tuple(decoded))


def _follows(entry: ManifestEntry, before: ManifestEntry, before_bytes: bytes) -> None:
    if entry.previous_hash != hashlib.sha256(before_bytes).digest():
        raise BadManifest("a key manifest entry does not follow the one before it")
    if entry.first_hub_key_id <= before.first_hub_key_id or entry.created_ms < before.created_ms:
        raise BadManifest("key manifest entries overlap or run backwards")


def continues(old: Manifest, new: Manifest) -> bool:
    """Whether a fetched manifest keeps every pinned entry, byte for byte, and at most adds to them."""
    return new.signed[: len(old.signed)] == old.signed

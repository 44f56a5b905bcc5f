"""Labelled cryptography of suite 1 (RFC 9420 sections 5.1, 5.2 and 8): every use of a key says what it is for.

Randomness is an argument: HPKE sealing takes the 32 bytes its ephemeral key is derived from, so a run can be repeated
bit for bit. Opening is OpenSSL's. Sealing is RFC 9180 base mode written out, because the library draws its own.
"""

import hashlib
import hmac
from typing import Final

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives import hashes, hpke
from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey, X25519PublicKey
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.kdf.hkdf import HKDFExpand

from kith.protocol.mls.codec import HpkeCiphertext
from kith.protocol.mls.refusals import BadTag
from kith.protocol.wire import Malformed, vector

HASH: Final = 32
AEAD_KEY: Final = 16
AEAD_NONCE: Final = 12
TAG: Final = 16

_SHA256: Final = hashes.SHA256()
_SUITE: Final = hpke.Suite(hpke.KEM.X25519, hpke.KDF.HKDF_SHA256, hpke.AEAD.AES_128_GCM)
_KEM_ID: Final = b"KEM\x00\x20"
_HPKE_ID: Final = b"HPKE\x00\x20\x00\x01\x00\x01"
_PRIVATE: Final = 32


def sha256(data: bytes) -> bytes:
    """The suite's hash."""
    return hashlib.sha256(data).digest()


def mac(key: bytes, data: bytes) -> bytes:
    """HMAC-SHA256."""
    return hmac.digest(key, data, "sha256")


def same(first: bytes, second: bytes) -> bool:
    """Equality in time that does not depend on where they differ."""
    return hmac.compare_digest(first, second)


def extract(salt: bytes, ikm: bytes) -> bytes:
    """KDF.Extract."""
    return hmac.digest(salt, ikm, "sha256")


def _expand(secret: bytes, info: bytes, length: int) -> bytes:
    return HKDFExpand(_SHA256, length, info).derive(secret)


def expand_with_label(secret: bytes, label: bytes, context: bytes, length: int) -> bytes:
    """ExpandWithLabel (section 8)."""
    info = length.to_bytes(2, "big") + vector(b"MLS 1.0 " + label) + vector(context)
    return HKDFExpand(_SHA256, length, info).derive(secret)


def derive_secret(secret: bytes, label: bytes) -> bytes:
    """DeriveSecret (section 8)."""
    return expand_with_label(secret, label, b"", HASH)


def derive_tree_secret(secret: bytes, label: bytes, generation: int, length: int) -> bytes:
    """DeriveTreeSecret (section 9)."""
    return expand_with_label(secret, label, generation.to_bytes(4, "big"), length)


def ref_hash(label: bytes, value: bytes) -> bytes:
    """RefHash (section 5.2)."""
    return sha256(vector(label) + vector(value))


# --- AEAD -----------------------------------------------------------------------------------------------------------


def aead_seal(key: bytes, nonce: bytes, plaintext: bytes, aad: bytes) -> bytes:
    """AES-128-GCM; a (key, nonce) pair seals once."""
    return AESGCM(key).encrypt(nonce, plaintext, aad)


def aead_open(key: bytes, nonce: bytes, ciphertext: bytes, aad: bytes) -> bytes:
    """The plaintext, or BadTag."""
    try:
        return AESGCM(key).decrypt(nonce, ciphertext, aad)
    except InvalidTag:
        raise BadTag("a ciphertext was not made with the group's key") from None


# --- HPKE keys ------------------------------------------------------------------------------------------------------


def derive_key_pair(ikm: bytes) -> tuple[bytes, bytes]:
    """DHKEM(X25519) DeriveKeyPair (RFC 9180 section 7.1.3): private and public key."""
    private = _derive_private(ikm)
    return private, public_key(private)


def _derive_private(ikm: bytes) -> bytes:
    prk = extract(b"", b"HPKE-v1" + _KEM_ID + b"dkp_prk" + ikm)
    return _expand(prk, b"\x00\x20HPKE-v1" + _KEM_ID + b"sk", _PRIVATE)


def public_key(private: bytes) -> bytes:
    """The public half of an X25519 key."""
    return X25519PrivateKey.from_private_bytes(private).public_key().public_bytes_raw()


_PROBE: Final = X25519PrivateKey.from_private_bytes(b"\x40" * _PRIVATE)


def check_public_key(public: bytes) -> None:
    """Malformed for a point of small order: nobody could encrypt to it, so it would stop every later commit."""
    try:
        _PROBE.exchange(X25519PublicKey.from_public_bytes(public))
    except ValueError:
        raise Malformed("an encryption key is not a usable X25519 key") from None


# --- EncryptWithLabel (section 5.1.3) -------------------------------------------------------------------------------


def _labelled_extract(suite_id: bytes, salt: bytes, label: bytes, ikm: bytes) -> bytes:
    return extract(salt, b"HPKE-v1" + suite_id + label + ikm)


def _labelled_expand(suite_id: bytes, prk: bytes, label: bytes, info: bytes, length: int) -> bytes:
    return _expand(prk, length.to_bytes(2, "big") + b"HPKE-v1" + suite_id + label + info, length)


_EMPTY_PSK_ID_HASH: Final = _labelled_extract(_HPKE_ID, b"", b"psk_id_hash", b"")


def hpke_info(label: bytes, context: bytes) -> bytes:
    """EncryptContext."""
    return vector(b"MLS 1.0 " + label) + vector(context)


def encrypt_with_label(public: bytes, info: bytes, plaintext: bytes, ephemeral: bytes) -> HpkeCiphertext:
    """HPKE base mode (RFC 9180 sections 4.1, 5.1) to `public`; `info` is an EncryptContext of `hpke_info`.

    `public` has passed `check_public_key`. `ephemeral` are 32 fresh random bytes; they never serve twice.
    """
    private = X25519PrivateKey.from_private_bytes(_derive_private(ephemeral))
    kem_output = private.public_key().public_bytes_raw()
    shared = private.exchange(X25519PublicKey.from_public_bytes(public))
    prk = _labelled_extract(_KEM_ID, b"", b"eae_prk", shared)
    secret = _labelled_expand(_KEM_ID, prk, b"shared_secret", kem_output + public, HASH)
    info_hash = _labelled_extract(_HPKE_ID, b"", b"info_hash", info)
    context = b"\x00" + _EMPTY_PSK_ID_HASH + info_hash
    schedule = _labelled_extract(_HPKE_ID, secret, b"secret", b"")
    key = _labelled_expand(_HPKE_ID, schedule, b"key", context, AEAD_KEY)
    nonce = _labelled_expand(_HPKE_ID, schedule, b"base_nonce", context, AEAD_NONCE)
    return HpkeCiphertext(kem_output, aead_seal(key, nonce, plaintext, b""))


def decrypt_with_label(private: bytes, info: bytes, sealed: HpkeCiphertext) -> bytes:
    """The plaintext, or BadTag."""
    try:
        return _SUITE.decrypt(sealed.kem_output + sealed.ciphertext, X25519PrivateKey.from_private_bytes(private), info)
    except (InvalidTag, ValueError):
        raise BadTag("a secret was not encrypted to this key") from None

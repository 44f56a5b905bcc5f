"""Adding a device by approval: the new device shows a code, an own device seals the identity key to it.

The code is 80 random bits that never pass through the server. They authenticate the new device's one-time key to the
old device (so the server cannot put its own there) and enter the key that seals, beside the X25519 agreement.
"""

import hashlib
import hmac
from typing import Final

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey, X25519PublicKey
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF

from kith.protocol.wire import vector
from kith.sdk import recovery
from kith.sdk.recovery import IV, SEED, TAG

CODE_BYTES: Final = 10
KEY: Final = 32
SEALED: Final = KEY + IV + SEED + TAG
_CHARACTERS: Final = 16


def format_code(code: bytes) -> str:
    """How it is shown: `XXXX-XXXX-XXXX-XXXX-XX`."""
    return recovery.grouped(code, _CHARACTERS)


def parse_code(typed: str) -> bytes:
    """The code that was typed, in any case, with spaces or hyphens; NotACode otherwise."""
    return recovery.ungrouped(typed, CODE_BYTES, _CHARACTERS, "device code")


def _derive(secret: bytes, info: bytes) -> bytes:
    return HKDF(algorithm=SHA256(), length=KEY, salt=None, info=info).derive(secret)


def _named(account_uri: str, device_uri: str) -> bytes:
    return vector(account_uri.encode("ascii")) + vector(device_uri.encode("ascii"))


def tag(code: bytes, account_uri: str, device_uri: str, public_key: bytes) -> bytes:
    """The new device's proof that this one-time key is its own."""
    key = _derive(code, b"kith link tag v1")
    return hmac.new(key, _named(account_uri, device_uri) + public_key, hashlib.sha256).digest()


def is_tagged(code: bytes, account_uri: str, device_uri: str, public_key: bytes, shown: bytes) -> bool:
    """Whether whoever showed this code made that key."""
    return hmac.compare_digest(tag(code, account_uri, device_uri, public_key), shown)


def _sealing_key(shared: bytes, code: bytes, to: bytes, ephemeral: bytes) -> AESGCM:
    return AESGCM(_derive(shared + code, b"kith link seal v1" + to + ephemeral))


def seal(code: bytes, account_uri: str, device_uri: str, to: bytes, seed: bytes, iv: bytes) -> bytes:  # noqa: PLR0917
    """e(32) ‖ iv(12) ‖ AES-256-GCM(seed), for the device that showed the code. ValueError for a key that is none."""
    private = X25519PrivateKey.generate()
    ephemeral = private.public_key().public_bytes_raw()
    shared = private.exchange(X25519PublicKey.from_public_bytes(to))
    cipher = _sealing_key(shared, code, to, ephemeral)
    return ephemeral + iv + cipher.encrypt(iv, seed, _named(account_uri, device_uri))


def open_sealed(
    code: bytes, account_uri: str, device_uri: str, private: X25519PrivateKey, sealed: bytes
) -> bytes | None:
    """The identity seed, or None when it was not sealed to this device under this code."""
    if len(sealed) != SEALED:
        return None
    ephemeral, iv, box = sealed[:KEY], sealed[KEY : KEY + IV], sealed[KEY + IV :]
    try:
        shared = private.exchange(X25519PublicKey.from_public_bytes(ephemeral))
        cipher = _sealing_key(shared, code, private.public_key().public_bytes_raw(), ephemeral)
        return cipher.decrypt(iv, box, _named(account_uri, device_uri))
    except (InvalidTag, ValueError):
        return None

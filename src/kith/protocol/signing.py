"""SignWithLabel and VerifyWithLabel of RFC 9420 section 5.1.2, with Ed25519."""

from typing import Final, Protocol

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey

from kith.protocol.wire import vector

PUBLIC_KEY: Final = 32
"""Bytes of an Ed25519 public key."""
SIGNATURE: Final = 64
"""Bytes of an Ed25519 signature."""


class Signer(Protocol):
    """A signature key or a handle to one. Ed25519PrivateKey is one."""

    def sign(self, data: bytes, /) -> bytes:
        """The 64-byte Ed25519 signature."""
        ...


def signed_content(label: str, content: bytes) -> bytes:
    """`SignContent`: V("MLS 1.0 " + label) then V(content). The label keeps uses of one key apart."""
    return vector(b"MLS 1.0 " + label.encode("ascii")) + vector(content)


def sign_with_label(private: Signer, label: str, content: bytes) -> bytes:
    """The 64-byte signature over the labelled content."""
    return private.sign(signed_content(label, content))


def verify_with_label(public: bytes, label: str, content: bytes, signature: bytes) -> bool:
    """Whether the holder of `public` (32 bytes) signed this content under this label. Never raises on bad input."""
    if len(public) != PUBLIC_KEY or len(signature) != SIGNATURE:
        return False
    try:
        Ed25519PublicKey.from_public_bytes(public).verify(signature, signed_content(label, content))
    except (InvalidSignature, ValueError):
        return False
    return True


def public_bytes(private: Ed25519PrivateKey) -> bytes:
    """The 32 bytes that others verify with."""
    return private.public_key().public_bytes_raw()

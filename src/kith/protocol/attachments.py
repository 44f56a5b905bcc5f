"""Attachments: the length of a ciphertext, what a message says about its media, sealing and opening in streams.

An ExternalPart commits to key, nonce, size and SHA-256 of the ciphertext (franking.md section 9). Its bytes are
AES-256-GCM (NIST SP 800-38D) over the plaintext and zeros up to the next Padmé bucket.
"""

from __future__ import annotations

from typing import Final

KEY: Final = 32
NONCE: Final = 12
TAG: Final = 16


def padme(length: int) -> int:
    """The bucket of a length: at most 12 % more, and log log many of them (Nikitin et al., PETS 2019, section 4)."""
    if length < 2:  # noqa: PLR2004  the logarithm of a logarithm needs two
        return length
    exponent = length.bit_length() - 1
    low_bits = exponent - exponent.bit_length()
    mask = (1 << low_bits) - 1
    return (length + mask) & ~mask

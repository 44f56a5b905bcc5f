"""Safety numbers are libsignal's, and what is scanned is compared crosswise."""

from __future__ import annotations

from kith.protocol import safety_number as sn

ALICE = bytes.fromhex("0506863bc66d02b40d27b8d49ca7c09e9239236f9d7d25d6fcca5ce13c7064d868"), b"+14152222222"
BOB = bytes.fromhex("05f781b6fb32fed9ba1cf2de978d4d5da28dc34046ae814402b5c0dbd96fda907b"), b"+14153333333"


def test_the_public_vector_of_libsignal_is_reproduced() -> None:
    """Both sides see the number that libsignal's own test expects."""
    alice, bob = sn.fingerprint(*ALICE), sn.fingerprint(*BOB)
    expected = "300354477692869396892869876765458257569162576843440918079131"
    assert sn.safety_number(alice, bob) == sn.safety_number(bob, alice) == expected
    assert sn.in_groups(expected)[:2] == ["30035", "44776"]
    assert len(sn.in_groups(expected)) == sn.GROUPS


def test_what_is_scanned_must_be_the_other_side_of_mine() -> None:
    """The other's code matches; my own code, another key or a cut code do not."""
    alice, bob = sn.fingerprint(*ALICE), sn.fingerprint(*BOB)
    eve = sn.fingerprint(bytes(33), BOB[1])
    assert sn.matches(sn.scannable(bob, alice), alice, bob)
    assert not sn.matches(sn.scannable(alice, bob), alice, bob)
    assert not sn.matches(sn.scannable(eve, alice), alice, bob)
    assert not sn.matches(sn.scannable(bob, alice)[:-1], alice, bob)

"""Sealed evidence opens with its own key, under its own case and id, and not otherwise."""

from __future__ import annotations

from uuid import uuid4

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kith.reports.sealing import CannotOpen, CaseKey, EvidenceKey

KEY = EvidenceKey(bytes(range(32)))
CASE, OTHER, THING = (str(uuid4()) for _ in range(3))


@given(content=st.binary(max_size=300))
def test_what_was_sealed_opens_again(content: bytes) -> None:
    """Through a wrapped key, as after a restart."""
    case_key = CaseKey.fresh(CASE)
    sealed = case_key.seal(THING, content)
    again = KEY.unwrap(CASE, KEY.wrap(CASE, case_key))
    assert again.open(THING, sealed) == content


@given(content=st.binary(min_size=1, max_size=100), at=st.integers(0, 10**6), bit=st.integers(0, 7))
def test_one_changed_bit_and_it_does_not_open(content: bytes, at: int, bit: int) -> None:
    """Wherever it is: in the nonce, the bytes, or the tag."""
    case_key = CaseKey.fresh(CASE)
    sealed = bytearray(case_key.seal(THING, content))
    sealed[at % len(sealed)] ^= 1 << bit
    with pytest.raises(CannotOpen):
        case_key.open(THING, bytes(sealed))


def test_evidence_moved_to_another_case_or_id_does_not_open() -> None:
    """An administrator of the database cannot make it look like somebody else's."""
    case_key = CaseKey.fresh(CASE)
    sealed = case_key.seal(THING, b"words")
    with pytest.raises(CannotOpen):
        case_key.open(OTHER, sealed)
    with pytest.raises(CannotOpen):
        CaseKey(OTHER, case_key.secret).open(THING, sealed)
    with pytest.raises(CannotOpen):
        KEY.unwrap(OTHER, KEY.wrap(CASE, case_key))


def test_another_servers_key_opens_nothing() -> None:
    """A stolen database without the key file is sealed."""
    wrapped = KEY.wrap(CASE, CaseKey.fresh(CASE))
    with pytest.raises(CannotOpen):
        EvidenceKey(bytes(32)).unwrap(CASE, wrapped)


@pytest.mark.parametrize("rubbish", [b"", b"x", bytes(12), bytes(28)])
def test_rubbish_does_not_open(rubbish: bytes) -> None:
    """Too short to hold anything."""
    with pytest.raises(CannotOpen):
        CaseKey.fresh(CASE).open(THING, rubbish)
    with pytest.raises(CannotOpen):
        KEY.unwrap(CASE, rubbish)


def test_keys_do_not_print_themselves() -> None:
    """A repr in a log shows no secret."""
    case_key = CaseKey.fresh(CASE)
    shown = repr((KEY, case_key))
    assert case_key.secret.hex() not in shown
    assert repr(case_key.secret) not in shown
    assert repr(bytes(range(32))) not in shown


def test_a_key_has_thirty_two_bytes() -> None:
    """A cut key file is noticed at start-up."""
    with pytest.raises(ValueError, match="32 bytes"):
        EvidenceKey(bytes(31))

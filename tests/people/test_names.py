"""Handles that cannot be mistaken for each other, and display names without tricks."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kith.people import handles
from people.conftest import Caller


@pytest.mark.parametrize(
    ("typed", "handle"),
    [
        ("ana", "ana"),
        ("Ana.B_1", "ana.b_1"),
        ("ＡＮＡ", "ana"),
        ("JOSÉ", "josé"),
        ("иван_1", "иван_1"),
        ("日本語", "日本語"),
        ("안녕하세요", "안녕하세요"),
        ("שלום", "שלום"),
        ("नमस्ते", "नमस्ते"),
        ("ab", None),
        ("a" * 31, None),
        ("a" * 10_000, None),
        ("...", None),
        ("___", None),
        ("a b c", None),
        ("ana-b", None),
        ("ana@b", None),
        ("ana\u200bb", None),
        ("ana\u202eb", None),
        ("ana\x00b", None),
        ("раypal", None),  # Cyrillic er and a, then Latin
        ("ana日本", None),
        ("ab٣", None),
        ("🙂🙂🙂", None),
    ],
)
def test_a_handle_has_one_spelling_or_none(typed: str, handle: str | None) -> None:
    """Case and width fold; mixed scripts, spaces, invisible and other signs do not pass."""
    assert handles.normalised(typed) == handle


@given(st.text(max_size=40))
def test_a_spelling_is_its_own_spelling(typed: str) -> None:
    """Whatever is typed never raises, and a handle is stable."""
    handle = handles.normalised(typed)
    assert handle is None or handles.normalised(handle) == handle


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("paul", "pau1"),
        ("mary", "rnary"),
        ("cool", "c00l"),
        ("willow", "vvillovv"),
        ("scope", "ѕсоре"),  # all Cyrillic
        ("jose", "josé"),
    ],
)
def test_handles_that_look_alike_have_one_skeleton(one: str, other: str) -> None:
    """Only one of them can be had."""
    assert handles.skeleton(one) == handles.skeleton(other)


@pytest.mark.parametrize(("one", "other"), [("ana", "anna"), ("tim", "tom"), ("ben", "den"), ("иван", "ivan")])
def test_handles_that_differ_keep_apart(one: str, other: str) -> None:
    """The control: the skeleton does not swallow everything."""
    assert handles.skeleton(one) != handles.skeleton(other)


def test_all_handle_characters_have_a_settled_skeleton() -> None:
    """A skeleton of a skeleton is the same, or the comparison would depend on who came first."""
    for character in "abcdefghijklmnopqrstuvwxyz0123456789_.":
        once = handles.skeleton(character)
        assert handles.skeleton(once) == once


@pytest.mark.parametrize(
    "handle", ["admin", "kith", "staff", "support", "k.i.t.h", "adm1n", "5upp0rt", "m0derator", "po1ice"]
)
def test_nobody_speaks_for_the_service(handle: str) -> None:
    """Reserved names, also dotted or spelled with digits."""
    assert handles.reserved(handle)


@pytest.mark.parametrize("handle", ["ana", "helpful", "adrian", "kitty", "stafford"])
def test_ordinary_names_are_free(handle: str) -> None:
    """The control: a name that only begins alike may be had."""
    assert not handles.reserved(handle)


def test_a_taken_reserved_or_similar_handle_gets_one_answer(caller: Caller) -> None:
    """409 with the same body, whichever it is."""
    caller.sign_up("mary")
    answers = [caller.with_token(None).sign_up(handle) for handle in ("mary", "MARY", "rnary", "admin")]
    assert {answer.status_code for answer in answers} == {409}
    assert len({answer.content for answer in answers}) == 1


@pytest.mark.parametrize(
    ("typed", "kept"),
    [
        ("Ana", "Ana"),
        ("  Ana   B ", "Ana B"),
        ("Zoe\u0308", "Zoë"),
        ("👩\u200d👧 Ana", "👩\u200d👧 Ana"),
        ("می\u200cخواهم", "می\u200cخواهم"),
        ("A" * 50, "A" * 50),
        ("A" * 51, None),
        ("", None),
        ("   ", None),
        ("Ana\n", None),
        ("Ana\u202egnp", None),
        ("Ana\u2066x", None),
        ("\u200d\u200d", None),
        ("\u3164", None),
        ("\u2800\u2800", None),
        ("Ana\ud800", None),
        ("a" + "\u0301" * 9, None),
        ("Ana\U000e0041", None),
    ],
)
def test_a_display_name_shows_all_that_it_holds(typed: str, kept: str | None) -> None:
    """Composed, trimmed, and nothing that hides, reverses or piles up."""
    assert handles.display_name(typed) == kept

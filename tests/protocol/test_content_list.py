"""What the content profile asks to be tested, item by item, and where it is: nothing on the list goes missing."""

from __future__ import annotations

from importlib import import_module
from typing import Final

import pytest

from vectors.shared import golden

IN_TESTS: Final = {
    "draft example ids": ("protocol.test_content", "test_the_drafts_original_message_is_reproduced"),
    "draft example ids, reply": ("protocol.test_content", "test_the_drafts_reply_is_reproduced"),
    "franking vector": ("vectors.test_golden", "test_the_committed_bytes_are_still_what_the_code_makes"),
    "edit by another account": ("sdk.test_effects", "test_an_edit_by_another_account_is_dropped_with_a_note"),
    "delete of an edited message": (
        "sdk.test_effects",
        "test_a_deletion_names_the_first_version_and_takes_every_version_with_it",
    ),
    "unlike of someone else's reaction": ("sdk.test_effects", "test_an_edit_by_another_account_is_dropped_with_a_note"),
    "reply loop of length 1, 2, 50": (
        "sdk.test_effects",
        "test_answers_that_lead_back_into_their_own_chain_are_no_answers",
    ),
    "content of 64 KiB and 64 KiB + 1": ("protocol.test_content", "test_content_of_64_kib_is_the_largest"),
    "nesting of parts": ("protocol.test_content", "test_parts_nest_four_deep"),
    "effects in any order": ("sdk.test_effects", "test_any_order_of_arrival_ends_in_the_same_thread"),
    "both stacks, one thread": (
        "sdk.test_web",
        "test_both_clients_show_one_thread_whatever_is_done_to_its_messages",
    ),
}
BROKEN: Final = {
    "key order": "keys length-first",
    "non-minimal integer": "integer not minimal",
    "indefinite length": "indefinite bytes",
    "duplicate key": "duplicate key",
    "trailing byte": "trailing byte",
    "bad UTF-8": "text not UTF-8",
    "salt of 15 bytes": "salt of 15 bytes",
    "salt of 17 bytes": "salt of 17 bytes",
    "depth 5": "five levels",
    "external part with 14 elements": "external part of 14 elements",
    "external part with 16 elements": "external part of 16 elements",
    "unknown cardinality": "cardinality 4",
    "extension 1 absent": "no sender",
    "extension 2 absent": "no room",
}
"""Read by both stacks from tests/vectors/golden/content.json, and refused."""
SAME_BYTES: Final = {
    "text": "text",
    "reply": "reply",
    "edit": "edit",
    "delete": "delete",
    "reaction": "reaction",
    "external part": "external part",
    "multi part": "process all",
}
"""Both stacks encode them to the same bytes."""


@pytest.mark.parametrize("item", IN_TESTS)
def test_an_item_of_the_list_has_its_test(item: str) -> None:
    """It is where it is said to be, and would be run."""
    module, name = IN_TESTS[item]
    assert callable(getattr(import_module(module), name))


@pytest.mark.parametrize("item", BROKEN)
def test_an_item_about_broken_bytes_is_among_the_frozen_ones(item: str) -> None:
    """Under its name."""
    assert BROKEN[item] in {case["name"] for case in golden("content")["invalid"]}


@pytest.mark.parametrize("item", SAME_BYTES)
def test_every_kind_of_message_has_frozen_bytes(item: str) -> None:
    """Under its name."""
    assert SAME_BYTES[item] in {case["name"] for case in golden("content")["valid"]}

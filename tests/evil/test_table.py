"""The page about lying servers says what the tests run, for both clients."""

from __future__ import annotations

import json
import re

from evil import table
from evil.test_sdk import ATTACKS

ENOUGH = 30


def test_the_page_is_made_of_the_list() -> None:
    """After a change of the list: `python tests/evil/table.py`."""
    assert table.PAGE.read_text("utf-8") == table.page()


def test_both_clients_are_tested_with_the_whole_list() -> None:
    """Each attack of a client is one of its tests; the web client's own test compares the same."""
    rows = json.loads(table.LIST.read_text("utf-8"))
    source = (table.PAGE.parents[1] / "web" / "tests" / "evil.test.ts").read_text("utf-8")
    body = source[source.index("const attacks") : source.index("\n};", source.index("const attacks"))]
    run = {
        "sdk": set(ATTACKS),
        "web": set(re.findall(r"^  '?([a-z][a-z-]*)'?: ", body, re.MULTILINE)),
    }
    for client, names in run.items():
        listed = {one["name"] for one in rows if one[client] != "-"}
        assert names == listed, names ^ listed
        assert len(listed) > ENOUGH
    assert {one[client] for one in rows for client in run} <= set(table.OUTCOMES)

"""docs/evil-server.md, made from attacks.json: `python tests/evil/table.py` writes it."""

from __future__ import annotations

import json
from itertools import groupby
from pathlib import Path

LIST = Path(__file__).with_name("attacks.json")
PAGE = Path(__file__).parents[2] / "docs" / "evil-server.md"
OUTCOMES = {
    "refused": "Nothing of the lie is taken up, nothing genuine is lost, and there is nothing to see.",
    "flagged": (
        "Nothing of the lie is taken up, and the person sees that something was wrong: a message that could not be "
        "verified, a gap, a message marked as failed, or a sentence in the thread."
    ),
    "broken": (
        "This device stops following the chat and says so, with the way out: sign out and in again. A genuine Welcome "
        "heals it; the test goes that way."
    ),
    "-": "This client does not look at it yet.",
}
INTRODUCTION = """# A server that lies

What a server, or somebody who took it over, may tell the two clients, and what becomes of it. Every row is a test with
both clients (`tests/evil/test_sdk.py`, `web/tests/evil.test.ts`), run twice: with the lie the outcome is the one in the
table and the genuine chat goes on afterwards, a message each way; without it, as the control, there is nothing to see.

This page is made from `tests/evil/attacks.json` (`python tests/evil/table.py`); a test compares them.
"""
LIMITS = """## What a lying server can still do

- Say who is in a group: its roster is the server's word, so whoever comes is named in the thread.
- Withhold and delay. A gap shows once something later arrives; if nothing ever does, there is nothing to see it by.
- Number messages or date them in ways that are false but possible. What is proven is that it signed them so.
- Show another truth to somebody who never saw the real one: on first sight a client pins what it is shown. Safety
  numbers, compared in another way, are the remedy.
- Rows that say so need the help of a member's device, because only members can sign changes of a group.
"""


def page() -> str:
    """The whole page."""
    rows = json.loads(LIST.read_text("utf-8"))
    shown = {one[client] for one in rows for client in ("sdk", "web")}
    words = [f"- **{word}**: {meaning}" for word, meaning in OUTCOMES.items() if word in shown]
    parts = [INTRODUCTION, f"{len(rows)} attacks. Outcomes:\n\n" + "\n".join(words) + "\n"]
    for title, group in groupby(rows, key=lambda one: one["part"]):
        lines = [f"| `{one['name']}` | {one['lie']} | {one['sdk']} | {one['web']} |" for one in group]
        head = f"## {title}\n\n| Attack | The lie | SDK | Web client |\n|---|---|---|---|\n"
        parts.append(head + "\n".join(lines) + "\n")
    return "\n".join([*parts, LIMITS])


if __name__ == "__main__":
    PAGE.write_text(page(), encoding="utf-8")

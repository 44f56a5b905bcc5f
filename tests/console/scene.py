"""A console with a few days' worth of cases; as a program, it serves them for a look in a browser.

`python tests/console/scene.py 8470` → http://staff.localhost:8470, logins ada, ben, cleo, boss; one password.
"""

from __future__ import annotations

import sys
import tempfile
from pathlib import Path

import uvicorn
from litestar.types import ASGIApp

if __name__ == "__main__":
    sys.path.insert(0, str(Path(__file__).parents[1]))

from kith.app.console import console_app
from kith.ledger.limits import DAY, HOUR
from kith.people import enforcement, ladder
from kith.reports import flows, review, staff, staffing
from kith.reports.consequences import Choice
from kith.reports.shell import ConsoleFacts
from kith.reports.taxonomy import BY_ID
from reports.world import PASSWORD_HASH, World

PASSWORD = "correct horse battery"
CANARY = "Sturmvogel 4711"
"""In every reported text, so that a test can look for it anywhere."""


def add_staff(world: World) -> None:
    """ada and ben review; cleo is for child safety; boss is an admin and reads nothing."""
    for login, roles in (
        ("ada", ("reviewer",)),
        ("ben", ("reviewer",)),
        ("cleo", ("reviewer", "child-safety")),
        ("dora", ("reviewer", "child-safety")),
        ("boss", ("admin",)),
    ):
        assert world.do(staffing.add_staff, login, PASSWORD_HASH, roles).allowed


def furnish(world: World) -> dict[str, str]:
    """Reports of every kind; returns account ids by handle."""
    people = {name: world.account(name) for name in ("marco", "nadia", "olga", "pavel")}
    people["tim"] = world.account("tim", "13-15")
    hub = world.hub
    chat = hub.chat(people["nadia"], people["marco"])
    for number in range(4):
        hub.say(chat, people["marco"], f"{CANARY} Send the money today, part {number}")
        hub.say(chat, people["nadia"], f"{CANARY} No. Please stop. {number}")
    forged = hub.say(hub.chat(people["nadia"], people["marco"]), people["marco"], f"{CANARY} from elsewhere")
    chosen = [*chat.items[:3], *chat.items[5:7], *forged]
    note = f"{CANARY} He writes every day."
    world.report(chat, people["nadia"], people["marco"], chosen, category="scam", note=note)
    world.clock.now += HOUR
    kids = hub.chat(people["tim"], people["pavel"])
    hub.say(kids, people["pavel"], f"{CANARY} How was school?", f"{CANARY} Don't tell anybody that we talk.")
    hub.say(kids, people["tim"], f"{CANARY} \u0645\u0631\u062d\u0628\u0627 why?")
    world.report(kids, people["tim"], people["pavel"], category="other", minor_involved=True)
    world.clock.now += 2 * HOUR
    world.report(None, people["olga"], people["nadia"], category="other")
    world.do(flows.propose, people["olga"], "many-unanswered", world.desk.limits, child=False)
    return people


def add_appeal(world: World, account: str, original: str) -> str:
    """A decision by one reviewer and an appeal against it; returns the measure."""
    reviewer = world.sign_in(original)
    reporter = world.account("reporter of an appeal")
    chat = world.hub.chat(reporter, account)
    world.hub.say(chat, account, f"{CANARY} Hello again")
    world.report(chat, reporter, account, category="bullying")
    [case] = [c for c in world.open_cases() if c.account == account and c.queue == "general"]
    assert world.do(review.claim, reviewer, case.case, world.desk.limits).allowed
    choice = Choice(
        action="suspend",
        policy=BY_ID["bullying-harassment"],
        severity="moderate",
        days=7,
        reason=f"{CANARY} my own reason",
    )
    assert world.do(review.decide, reviewer, case.case, choice, world.desk).allowed
    [measure] = [m.id for m in world.ask(enforcement.measures_of, account) if m.what == "suspended"]
    assert isinstance(world.do(flows.appeal, account, measure, f"{CANARY} It was not me.", world.desk), str)
    return str(measure)


def app_for(world: World, origin: str) -> ASGIApp:
    """The console as the server mounts it."""
    facts = ConsoleFacts(origin=origin, desk=world.desk, after_child_safety="/tips/new?case={case}")
    return console_app(
        world.database, facts, pages=staff.PAGES, templates=[staff.TEMPLATES], navigation=staff.NAVIGATION
    )


def main() -> None:
    """Serve a furnished console until interrupted."""
    port = int(sys.argv[1])
    world = World(Path(tempfile.mkdtemp()) / "kith.db")
    add_staff(world)
    people = furnish(world)
    world.do(
        enforcement.impose,
        people["marco"],
        ladder.warning(),
        rule="spam",
        because="You sent the same thing to many people.",
        source="rule:many-unanswered",
        facts={},
    )
    quiet = world.account("quinn")
    world.clock.now += DAY
    add_appeal(world, quiet, "ada")
    uvicorn.run(app_for(world, f"http://staff.localhost:{port}"), host="127.0.0.1", port=port, log_level="warning")


if __name__ == "__main__":
    main()

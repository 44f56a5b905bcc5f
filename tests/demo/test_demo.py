"""`make demo` as a visitor meets it: the town writes, answers and reports; stopped, killed and started again."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
import time

import httpx
import pytest
from sqlalchemy import func, select

from demo.running import Demo, Visitors, eventually
from kith.app.demo import residents
from kith.ledger.database import Reader
from kith.messaging import store as rooms
from kith.people import facts
from kith.reports import staffing, store

pytestmark = pytest.mark.slow


def test_it_says_where_to_go_and_who_can_sign_in(demo: Demo) -> None:
    """Every printed account and both addresses are on the table, and no traceback is above it."""
    assert demo.origin in demo.output
    assert f"http://staff.localhost:{demo.port + 1}" in demo.output
    for printed in (*residents.PEOPLE, *residents.STAFF):
        assert printed.password in demo.output
    assert "Traceback" not in demo.output
    assert len(demo.output.splitlines()) < 35


def test_printed_staff_can_sign_in(demo: Demo) -> None:
    """Each printed staff password fits its login."""
    for member in residents.STAFF:
        login = demo.read(staffing.find_login, member.login)
        assert staffing.password_fits(login, member.password), member.login


def test_neighbours_write_within_seconds_and_answer(visitors: Visitors) -> None:
    """Mira's first device hears from two neighbours, and one of them answers her."""
    assert visitors.heard("mira", "ines")
    before = visitors.heard("mira", "tomas")
    visitors.do("mira", "send", room=visitors.chat("mira", "tomas")["room"], text="One rye bread, please!")
    assert "Rye" in visitors.heard("mira", "tomas", more_than=len(before))[-1]


def test_a_minor_hears_from_family_and_friends_and_never_of_the_seller(visitors: Visitors) -> None:
    """Noor's grandfather and friends write; an adult stranger's request never reached her."""
    for handle in ("emil", "jonas", "lina"):
        assert visitors.heard("noor", handle)
    assert visitors.do("noor", "requests")["received"] == []


def test_a_circle_invites_and_welcomes_with_a_photo(visitors: Visitors) -> None:
    """Noor finds one invitation, comes in, and the founder welcomes her by name; neighbours' words are not answered."""
    received = visitors.do("noor", "group_invitations")["received"]
    assert [one["name"] for one in received] == ["Film club"]
    visitors.do("noor", "accept_group", invitation=received[0]["invitation"])
    room = received[0]["room"]

    def welcome() -> bool:
        messages = visitors.do("noor", "thread", room=room)["messages"]
        return any(one["text"].startswith("Noor! Finally") and one["files"] for one in messages)

    eventually(welcome, "a welcome to the film club")


def test_a_seller_is_limited_and_those_he_asked_get_a_notice(demo: Demo, visitors: Visitors) -> None:
    """The live rule put a notice on his request to Mira, none on an ordinary one, and `why` explains it."""
    received = {one["handle"]: one for one in visitors.do("mira", "requests")["received"]}
    assert received["bruno"]["notice"] is not None
    assert received["luca"]["notice"] is None
    found = re.search(r"make why ID=(\S+)", demo.output)
    assert found is not None
    why = subprocess.run(
        [sys.executable, "-m", "kith", "why", found[1], "--data", str(demo.data)],
        capture_output=True,
        text=True,
        check=True,
    )
    assert "first-contacts-unanswered" in why.stdout


def test_staff_find_proven_cases_and_an_appeal(demo: Demo) -> None:
    """One case per queue waits, and what the town reported was verified."""

    def queues(reader: Reader) -> set[str]:
        return {row.queue for row in reader.all(select(store.cases.c.queue))}

    def verified(reader: Reader) -> list[tuple[int, int]]:
        columns = store.reports.c
        found = reader.all(select(columns["items"].label("sent"), columns.verified))
        return [(row.sent, row.verified) for row in found]

    assert demo.read(queues) == {"general", "child-safety", "appeals"}
    reports = demo.read(verified)
    assert len(reports) == 2
    assert all(sent == proven > 0 for sent, proven in reports)


def test_a_newcomer_is_welcomed_and_answered(demo: Demo, visitors: Visitors) -> None:
    """Somebody who makes an account of her own can ask a townsperson, who says yes and writes."""
    visitors.do("wanda", "open", origin=demo.origin)
    visitors.do(
        "wanda", "sign_up_person", handle="wanda", display_name="Wanda", password="tea at half past", year=1990, month=4
    )
    visitors.do("wanda", "request", handle="luca", text="Hello! Is there a choir?")
    assert any("Tuesdays" in text or "choir" in text for text in visitors.heard("wanda", "luca"))


def test_somebody_who_starts_fresh_is_written_to_again(demo: Demo, visitors: Visitors) -> None:
    """A lost browser without the recovery code: the old messages are gone, the neighbours are not."""
    words = "rain on a tin roof"
    visitors.do("wes", "open", origin=demo.origin)
    visitors.do("wes", "sign_up_person", handle="wes", display_name="Wes", password=words, year=1980, month=1)
    visitors.do("wes", "request", handle="ines", text="")
    assert visitors.heard("wes", "ines")
    visitors.do("wes-again", "open", origin=demo.origin)
    assert visitors.do("wes-again", "sign_in_person", handle="wes", password=words)["phase"] == "needs-recovery"
    visitors.do("wes-again", "reset_identity")
    assert "back" in visitors.heard("wes-again", "ines")[0]


def test_townspeople_do_not_keep_writing_to_each_other(demo: Demo, visitors: Visitors) -> None:
    """While nobody visits writes anything, the number of messages stands still."""
    visitors.heard("mira", "ines")

    def written(reader: Reader) -> int:
        return int(reader.value(select(func.sum(rooms.heads.c.room_seq))))

    def calm() -> bool:
        before = demo.read(written)
        time.sleep(6)
        return demo.read(written) == before

    eventually(calm, "the town to be quiet", 40)


def test_a_killed_town_comes_back_and_the_server_never_noticed(demo: Demo, visitors: Visitors) -> None:
    """kill -9 of the town: one sentence, a live server, and neighbours who answer again."""
    before = visitors.heard("mira", "ines")
    town = eventually(demo.town, "the town's process")
    os.kill(town, signal.SIGKILL)
    eventually(lambda: "It starts again" in demo.output, "a sentence about it")
    assert httpx.get(f"{demo.origin}/.well-known/kith.json").status_code == 200
    eventually(lambda: demo.town() not in {None, town}, "another town")
    visitors.do("mira", "send", room=visitors.chat("mira", "ines")["room"], text="Did it rain in the garden?")
    assert visitors.heard("mira", "ines", more_than=len(before))


def test_ctrl_c_ends_everything_and_a_second_run_goes_on(demo: Demo, visitors: Visitors) -> None:
    """Exit code 0, no traceback, no process left; then the same people, chats and passwords, in seconds."""
    chats = {chat["handle"] for chat in visitors.do("mira", "chats")}
    accounts = demo.read(lambda reader: [facts.by_handle(reader, handle) for handle in ("mira", "tomas")])
    before = visitors.heard("mira", "tomas")
    town = eventually(demo.town, "the town's process")
    assert demo.stop() == 0
    assert "Traceback" not in demo.output
    assert not _alive(town)

    demo.start()
    assert demo.took_s < 60
    assert demo.read(lambda reader: [facts.by_handle(reader, handle) for handle in ("mira", "tomas")]) == accounts
    assert {chat["handle"] for chat in visitors.do("mira", "chats")} == chats
    visitors.do("mira", "send", room=visitors.chat("mira", "tomas")["room"], text="Good evening! Cake tomorrow?")
    assert visitors.heard("mira", "tomas", more_than=len(before))


def test_a_killed_demo_leaves_no_town_behind_and_opens_again(demo: Demo) -> None:
    """kill -9 of the house: the town notices that its house is gone, and the next run finds nothing in its way."""
    town = eventually(demo.town, "the town's process")
    assert demo.process is not None
    demo.process.kill()
    demo.process.wait(10)
    eventually(lambda: not _alive(town), "the town to end")
    demo.start()
    assert "Traceback" not in demo.output


def _alive(process: int) -> bool:
    try:
        os.kill(process, 0)
    except ProcessLookupError:
        return False
    return True

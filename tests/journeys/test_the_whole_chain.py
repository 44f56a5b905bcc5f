"""From the first screen to the decision and back: the product, once through, in real browsers."""

from __future__ import annotations

import re
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from playwright.sync_api import expect

from journeys.harness import PracticeTipline, Server, served
from journeys.person import Meet, Person
from journeys.staff_browser import Review, Reviewer

pytestmark = pytest.mark.browser


@pytest.fixture(scope="module")
def tipline() -> Iterator[PracticeTipline]:
    """Where CyberTips go here."""
    with PracticeTipline() as practice:
        yield practice


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory, client: Path, tipline: PracticeTipline) -> Iterator[Server]:
    """A server that knows the practice CyberTipline."""
    folder = tmp_path_factory.mktemp("chain")
    with served(folder, client=client, tipline=tipline.settings(folder)) as running:
        yield running


def test_the_whole_chain(meet: Meet, review: Review, server: Server, tipline: PracticeTipline) -> None:
    """Three people meet, one harms another: report, review, decision, CyberTip, appeal, and everything at once."""
    mia = meet("Mia Brook", born=(2012, 3))
    noor = meet("Noor Field")
    otto = meet("Otto Gray")

    they_talk(mia, noor)
    otto_comes_in(otto, mia, noor)
    mia_reports(mia, otto)
    cara = review("cara", "child-safety", "reviewer")
    cara_decides(cara)
    carl = review("carl", "child-safety")
    the_cybertip_goes_out(cara, carl, tipline)
    otto_learns_and_asks_for_review(otto, mia)
    carl_overturns(carl)
    otto_is_restored(otto)
    mia_is_answered(mia)
    the_staff_log_holds(server)


def they_talk(mia: Person, noor: Person) -> None:
    """By exact handle: request, yes, both ways, an answer to a message, ticks, and everything still there on reload."""
    mia.request("noor.field", "Hello Noor, it's Mia from choir")
    mia.sees_request_sent()
    noor.accept("Mia Brook")
    noor.reads("Hello Noor, it's Mia from choir")
    mia.open_chat("Noor Field")
    noor.say("Hello Mia, see you on Tuesday")
    mia.reads("Hello Mia, see you on Tuesday")
    noor.sees_state("Hello Mia, see you on Tuesday", "Delivered")
    mia.reply("Hello Mia, see you on Tuesday", "Tuesday it is")
    noor.reads("Tuesday it is")
    expect(noor.row("Tuesday it is").locator("blockquote")).to_contain_text("Hello Mia, see you on Tuesday")
    before = ["Hello Noor, it's Mia from choir", "Hello Mia, see you on Tuesday", "Tuesday it is"]
    for person in (mia, noor):
        assert person.texts() == before
        person.page.reload()
        person.reads("Tuesday it is")
        assert person.texts() == before
    mia.sees_state("Tuesday it is", "Delivered")


def otto_comes_in(otto: Person, mia: Person, noor: Person) -> None:
    """By an invite link that Mia gave out, and to Noor by handle: a third person, two more chats."""
    otto.open_invite(mia.invite(), "Hi, you gave me this link")
    mia.accept("Otto Gray")
    mia.reads("Hi, you gave me this link")
    mia.say("Who is this?")
    otto.open_chat("Mia Brook")
    otto.reads("Who is this?")
    otto.say("Somebody you should not tell your parents about")
    mia.reads("Somebody you should not tell your parents about")
    otto.request("noor.field", "Hello neighbour")
    otto.sees_request_sent()
    noor.accept("Otto Gray")
    noor.reads("Hello neighbour")


def mia_reports(mia: Person, otto: Person) -> None:
    """From the message itself: four taps, the tick for her age one more; verified rows; then the block."""
    taps = mia.report("Somebody you should not tell", "Something sexual", minor=True, note="He found me online.")
    assert taps == 5
    mia.sees("A person will look at it first, because it involves someone under 18.")
    mia.blocks_after_report("Otto Gray")
    mia.sees("You blocked Otto Gray.")
    assert otto.page.get_by_text(re.compile("report|block", re.IGNORECASE)).count() == 0


def cara_decides(cara: Reviewer) -> None:
    """Closed until a click; verdict; a restriction under the child-safety standard."""
    expect(cara.queue()).to_have_count(1)
    cara.take("Child safety")
    expect(cara.page.get_by_text("Somebody you should not tell")).to_have_count(0)
    expect(cara.page.locator("li.exhibit.verified")).to_have_count(3)
    last = cara.page.locator("li.exhibit.reported").last
    last.get_by_role("button", name="Show message").click()
    expect(last.locator(".words")).to_have_text("Somebody you should not tell your parents about")
    expect(cara.page.locator(".words")).to_have_count(1)
    cara.judge(last, "Breaks the standards")
    cara.page.get_by_role("button", name=re.compile("^Show the reporter")).click()
    expect(cara.page.get_by_text("He found me online.")).to_be_visible()
    cara.decide("child-safety", "No new conversations", days=7)
    expect(cara.page.get_by_role("heading", name=re.compile("^CyberTip"))).to_be_visible()


def the_cybertip_goes_out(cara: Reviewer, carl: Reviewer, tipline: PracticeTipline) -> None:
    """Drafted by itself; whoever wrote it cannot approve; the second person reads, approves, and it arrives whole."""
    cara.page.goto("/tips")
    cara.page.get_by_role("link", name=re.compile("^CyberTip ")).click()
    cara.button("Read it").click()
    expect(cara.page.get_by_text("Somebody you should not tell your parents about").first).to_be_visible()
    cara.page.get_by_label("Remarks for the investigator").fill("Drafted within the hour.")
    cara.button("Save changes").click()
    cara.button("Read it").click()
    cara.button("Approve and send").click()
    expect(cara.page.get_by_role("alert")).to_be_visible()
    cara.expects("409 (Conflict)")
    assert "submit" not in tipline.line.calls

    carl.page.goto("/tips")
    carl.page.get_by_role("link", name=re.compile("^CyberTip ")).click()
    carl.button("Read it").click()
    carl.button("Approve and send").click()
    finished_on(carl)
    (tip,) = tipline.line.finished()
    said = tip.body.decode()
    assert "Somebody you should not tell your parents about" in said
    assert "Online Enticement of Children for Sexual Acts" in said
    assert "Drafted within the hour." in said
    carl.page.goto("/kept")
    expect(carl.page.get_by_role("link", name=re.compile("^[0-9a-f]{8}$"))).to_have_count(1)


def finished_on(staff: Reviewer) -> None:
    """The CyberTip that is open on the screen says that it is finished."""
    expect(staff.page.get_by_role("heading", name="Where it stands")).to_be_visible()
    until = time.monotonic() + 30
    while "Finished" not in staff.page.locator("dl.facts dd").first.inner_text():
        assert time.monotonic() < until, staff.page.locator("main").inner_text()
        staff.page.wait_for_timeout(500)
        staff.page.reload()


def otto_learns_and_asks_for_review(otto: Person, mia: Person) -> None:
    """What, which rule, until when, what still works, how to appeal; and starting anew is refused with the reason."""
    otto.go("#/add")
    otto.sees_heading("You can't start new chats")
    otto.sees("Sexual abuse of children")
    expect(otto.button("Send request")).to_have_count(0)
    otto.open_chat("Noor Field")
    otto.say("Old chats still work")
    otto.sees_state("Old chats still work", "Delivered")
    refusal = otto.call("POST", "/api/v1/requests", {"handle": "somebody.new"})
    assert refusal["status"] == 403
    assert "start new conversations" in refusal["body"]["error"]["message"]
    assert refusal["body"]["error"]["decision"]
    otto.expects("403 (Forbidden)")
    otto.go("#/settings/standing")
    otto.sees_heading("You can't start new chats")
    facts = otto.page.locator("dl.facts").inner_text()
    assert "Sexual abuse of children" in facts
    assert "Until" in facts
    otto.sees("Your chats work as before. You can read, reply, report and export.")
    otto.button("Request review").click()
    otto.fill("What should the reviewer know?", "I was joking with my cousin.")
    otto.button("Send for review").click()
    otto.sees("Review requested. A person who wasn't part of the decision will look at it.")
    assert mia.name not in otto.page.locator("main").inner_text()


def carl_overturns(carl: Reviewer) -> None:
    """Another child-safety reviewer decides the appeal."""
    carl.take("Appeals")
    carl.page.get_by_role("button", name=re.compile("^Show the person")).click()
    expect(carl.page.get_by_text("I was joking with my cousin.")).to_be_visible()
    carl.rule("Overturn", "A quotation between relatives, not an approach.")
    expect(carl.page.get_by_text("Nothing is waiting.")).to_be_visible()


def otto_is_restored(otto: Person) -> None:
    """At once, on the screen that is open, and in what he may do."""
    otto.sees("A person looked again and reversed this decision.")
    otto.sees("Nothing limits your account.")
    otto.request("somebody.new")
    otto.sees_request_sent()


def mia_is_answered(mia: Person) -> None:
    """The reporter sees what became of it."""
    mia.go("#/settings/reports")
    mia.sees("About @otto.gray")
    mia.sees("Looked at. We took action. Thank you.")


def the_staff_log_holds(server: Server) -> None:
    """The chain is intact; every opening counts: a message, two notes, the CyberTip thrice, the draft itself."""
    checked = kith("audit", "verify", "--data", str(server.data))
    assert checked.returncode == 0
    assert checked.stdout.startswith("Intact: ")
    assert " 7 of them reads of evidence" in checked.stdout


def kith(*arguments: str) -> subprocess.CompletedProcess[str]:
    """The command line, as an operator uses it."""
    return subprocess.run(
        [sys.executable, "-m", "kith", *arguments], capture_output=True, text=True, check=False, timeout=60
    )

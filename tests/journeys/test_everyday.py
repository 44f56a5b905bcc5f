"""What happens to ordinary people: a lost password, a lost code, a link before an account, second thoughts."""

from __future__ import annotations

import json
import re

import pytest
from playwright.sync_api import expect

from journeys.person import Meet, Person, connect

pytestmark = pytest.mark.browser

Friends = tuple[Person, Person]


def test_an_invite_that_is_opened_before_there_is_an_account_is_kept(meet: Meet) -> None:
    """The link leads through signing up to the request, and from there to the chat."""
    ann = meet("Ann Rowe")
    link = ann.invite()
    zoe = meet("Zoe Finch", joined=False)
    zoe.page.goto(link)
    zoe.sees("You have an invite. Sign in or create an account to open it.")
    zoe.sign_up()
    zoe.sees_heading("You opened an invite link")
    zoe.fill("First message (optional)", "Here I am")
    zoe.button("Send request").click()
    zoe.sees_request_sent()
    ann.accept("Zoe Finch")
    ann.reads("Here I am")


def test_a_lost_password_is_replaced_with_the_recovery_code(meet: Meet) -> None:
    """Handle, code and a new password: the account, its chats and its contacts are back, without old messages."""
    ben, cal = connect(meet, "Ben Rook", "Cal Snow")
    ben.context.clear_cookies()
    home = meet("Ben Rook", joined=False, handle=ben.handle)
    home.page.goto("/#/recover")
    home.fill("Handle", ben.handle)
    home.fill("Recovery code", ben.code)
    home.fill("New password", "nobody guesses this lantern")
    home.button("Set new password").click()
    home.at_chats()
    home.open_chat("Cal Snow")
    home.in_chat()
    home.say("Back again")
    cal.reads("Back again")
    cal.say("Welcome back")
    home.reads("Welcome back")


def test_a_lost_code_means_a_fresh_start_that_contacts_are_told_of(meet: Meet) -> None:
    """A new identity key and a new code; the chat goes on, and the other side sees that something changed."""
    dan, eli = connect(meet, "Dan Vale", "Eli Wren")
    tablet = meet("Dan Vale", joined=False, handle=dan.handle)
    dan.expects("401", "WebSocket connection to", "403")
    tablet.sign_in()
    tablet.sees_heading("Type your recovery code")
    tablet.button("Start without the code").click()
    tablet.button("Start fresh").click()
    old = dan.code
    tablet.keep_code()
    assert tablet.code != old
    tablet.at_chats()
    tablet.open_chat("Eli Wren")
    tablet.in_chat()
    tablet.say("It is me, with a new key")
    eli.reads("It is me, with a new key")
    expect(eli.log.locator("li.info").first).to_be_visible()
    eli.say("I can see that")
    tablet.reads("I can see that")


def test_second_thoughts_about_a_block(meet: Meet) -> None:
    """Blocked: nothing arrives, and the blocked one is told one fixed sentence at most. Unblocked: a new request."""
    fay, gil = connect(meet, "Fay Cole", "Gil Dean")
    fay.button("Open safety options").click()
    fay.button(re.compile("^Block Gil Dean")).click()
    fay.sees_heading("Gil Dean is blocked")
    fay.close_sheet()
    gil.say("Are you angry?")
    expect(gil.page.get_by_text(re.compile("block", re.IGNORECASE))).to_have_count(0)
    fay.page.wait_for_timeout(500)
    expect(fay.page.get_by_text("Are you angry?")).to_have_count(0)
    fay.go("#/settings/blocked")
    fay.button("Unblock Gil Dean").click()
    fay.sees("You haven't blocked anyone")
    fay.request("gil.dean", "Sorry, let us talk")
    fay.sees_request_sent()
    gil.accept("Fay Cole")
    gil.reads("Sorry, let us talk")
    expect(gil.page.get_by_text("Are you angry?").locator("visible=true").first).to_be_visible()


def test_an_export_holds_what_the_server_knows_and_no_message(friends: Friends) -> None:
    """One file: the account, its devices and connections; not a word of what was said."""
    lea, max_ = friends
    max_.say("A word between us")
    lea.reads("A word between us")
    lea.go("#/settings/export")
    with lea.page.expect_download() as download:
        lea.button("Download my data").click()
    kept = json.loads(download.value.path().read_text())
    assert lea.handle in json.dumps(kept)
    assert "A word between us" not in json.dumps(kept)
    assert max_.password not in json.dumps(kept)


def test_a_deleted_chat_can_still_be_reported(friends: Friends) -> None:
    """Gone from the list; its last messages wait under one's reports for thirty days, verified."""
    hope, ian = friends
    ian.say("Send me money tonight")
    hope.reads("Send me money tonight")
    hope.button("Open safety options").click()
    hope.button(re.compile("^Delete chat")).click()
    hope.sees_heading(re.compile("^Before you delete"))
    hope.page.get_by_role("dialog").get_by_role("button", name="Delete chat", exact=True).click()
    hope.at_chats()
    expect(hope.page.get_by_role("main").get_by_text(ian.name)).to_have_count(0)
    hope.go("#/settings/reports")
    hope.button(f"Report {ian.name}").click()
    hope.button("Scam or asking for money").click()
    rows = hope.page.get_by_role("list", name="Messages in this report").get_by_role("listitem")
    expect(rows.filter(has_text="Send me money tonight")).to_contain_text("Verified")
    hope.button("Send report").click()
    hope.sees_heading("Report sent")


def test_both_ask_at_once(meet: Meet) -> None:
    """Two who ask for each other have both said yes; what each wrote first arrives."""
    jo, kim = meet("Jo Hart"), meet("Kim Iles")
    jo.request("kim.iles", "You first")
    jo.sees_request_sent()
    kim.request("jo.hart", "No, you first")
    kim.sees_request_sent()
    for person, other in ((jo, kim), (kim, jo)):
        person.open_chat(other.name)
        person.reads("You first")
        person.reads("No, you first")
        expect(person.link(re.compile("^Message requests"))).to_have_count(0)


def test_a_changed_password_and_name_hold(meet: Meet) -> None:
    """The new password opens another browser, the old one does not; the new name is on the other's screen."""
    ned, ola = connect(meet, "Ned Lowe", "Ola Marr")
    ned.go("#/settings/password")
    ned.fill("Current password", ned.password)
    ned.fill("New password", "three brown owls at noon")
    ned.button("Change password").click()
    ned.sees("Password changed.")
    ned.go("#/settings/profile")
    ned.fill("Name", "Ned L.")
    ned.button("Save name").click()
    ned.sees("Saved.")
    ola.page.reload()
    ola.sees_heading("Ned L.")
    other = meet("Ned Lowe", joined=False, handle=ned.handle)
    other.expects("401 (Unauthorized)")
    other.sign_in()
    assert other.problem().endswith(".")
    other.fill("Password", "three brown owls at noon")
    other.button("Sign in").click()
    other.sees_heading("Type your recovery code")

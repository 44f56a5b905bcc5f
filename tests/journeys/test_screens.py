"""Every screen that people and staff reach: accessible in light and dark, whole at 320 px, mirrored, by keyboard."""

from __future__ import annotations

import re

import pytest
from playwright.sync_api import expect

from journeys.looks import Looks
from journeys.person import Meet, Person
from journeys.staff_browser import Review

pytestmark = pytest.mark.browser


def test_screens_of_joining_and_coming_back(meet: Meet) -> None:
    """From the first screen over the recovery code to the protections, and the way back in."""
    looks = Looks()
    mia = meet("Mia Brook", joined=False, born=(2012, 3))
    page = mia.page
    page.goto("/")
    mia.sees_heading("Welcome to Kith")
    looks.at(page, "welcome")
    for where, heading, name in (
        ("#/help", "Get help", "help"),
        ("#/terms", "Terms and standards", "terms"),
        ("#/sign-in", "Sign in", "sign-in"),
        ("#/recover", "Get back in", "recover"),
        ("#/sign-up", "When were you born?", "age"),
    ):
        mia.go_out(where)
        mia.sees_heading(heading)
        looks.at(page, name)
    mia.give_age()
    mia.sees_heading("How we treat each other")
    looks.at(page, "standards")
    mia.button("Agree and continue").click()
    mia.sees_heading("Make your account")
    looks.at(page, "account")
    mia.fill("Handle", mia.handle)
    mia.fill("Name", mia.name)
    mia.fill("Password", mia.password)
    mia.button("Create account").click()
    mia.sees_heading("Keep your recovery code")
    looks.at(page, "code")
    mia.code = page.get_by_test_id("recovery-code").inner_text()
    mia.button("Continue").click()
    mia.fill("Group 3 of your code", "wrong")
    mia.button("Confirm").click()
    mia.sees("That isn't the group we asked for.")
    looks.at(page, "code-confirm")
    mia.fill("Group 3 of your code", mia.code.split()[2])
    mia.button("Confirm").click()
    mia.sees_heading(re.compile("^What is on because"))
    looks.at(page, "protections-first")
    mia.button("Continue").click()
    mia.at_chats()
    looks.at(page, "chats-empty")

    laptop = meet("Mia Brook", joined=False, handle=mia.handle)
    laptop.sign_in()
    laptop.sees_heading("Type your recovery code")
    looks.at(laptop.page, "unlock")
    laptop.button("Start without the code").click()
    laptop.sees_heading("Start fresh on this device")
    looks.at(laptop.page, "start-fresh")
    assert looks.faults == []


def test_screens_inside(meet: Meet) -> None:
    """Chats, requests, the thread, every sheet, every page of the settings."""
    looks = Looks()
    ann, ben, cleo = meet("Ann Lake"), meet("Ben Hill"), meet("Cora Marsh")
    page = ann.page
    ben.request("ann.lake", "Hello Ann, I found you through the choir")
    ben.sees_request_sent()
    cleo.request("ann.lake")
    cleo.sees_request_sent()
    ann.open_request("Cora Marsh")
    looks.at(page, "request")
    ann.button("Decline quietly").click()
    ann.sees_heading("Message requests")
    ann.request("nobody.here", "Are you there?")
    ann.sees_request_sent()
    looks.at(page, "request-sent")
    ann.go("#/requests")
    ann.sees("Ben Hill")
    looks.at(page, "requests")
    ann.accept("Ben Hill")
    ann.reads("Hello Ann, I found you through the choir")
    ann.say("Hello Ben! Here is the address: https://songs.example/rehearsal?week=40")
    ann.say("A long line to see how it breaks: " + "la" * 90)
    ben.open_chat("Ann Lake")
    ben.reply("Hello Ben!", "Thank you, see you there")
    ann.reads("Thank you, see you there")
    ann.sees(re.compile("Delivered|Read"))
    looks.at(page, "thread")
    ann.tap_message("Thank you")
    ann.button("Reply").click()
    looks.at(page, "thread-replying")
    ann.button("Cancel reply").click()
    sheets(looks, ann)
    settings(looks, ann)
    ann.home()
    looks.at(page, "chats")
    page.set_viewport_size({"width": 1280, "height": 800})
    ann.chat_row("Ben Hill").click()
    expect(ann.log).to_be_visible()
    looks.at(page, "two-panes")
    assert looks.faults == []


def sheets(looks: Looks, ann: Person) -> None:
    """What opens above the thread."""
    page = ann.page
    ann.button("Open safety options").click()
    ann.sees_heading("Safety options")
    looks.at(page, "sheet-person")
    ann.button(re.compile("^Delete chat")).click()
    ann.sees_heading(re.compile("^Before you delete"))
    looks.at(page, "sheet-delete")
    ann.close_sheet()
    ann.tap_message("Hello Ann, I found")
    ann.button("Report").click()
    ann.sees_heading("What's wrong?")
    looks.at(page, "sheet-report-1")
    ann.button("Scam or asking for money").click()
    ann.sees_heading("Here is exactly what we'll send")
    expect(page.get_by_role("list", name="Messages in this report")).to_be_visible()
    looks.at(page, "sheet-report-2")
    ann.button("Send report").click()
    ann.sees_heading("Report sent")
    looks.at(page, "sheet-report-3")
    ann.button("Block Ben Hill").click()
    ann.sees_heading("Ben Hill is blocked")
    looks.at(page, "sheet-blocked")
    ann.close_sheet()
    ann.sees("You blocked Ben Hill.")
    looks.at(page, "thread-blocked")
    ann.home()
    ann.button("Open safety options").click()
    ann.sees_heading("Safety")
    looks.at(page, "sheet-safety")
    ann.close_sheet()


def settings(looks: Looks, ann: Person) -> None:
    """Every page behind the wheel, and the pages for adding somebody."""
    for where, heading in (
        ("#/settings", "Settings"),
        ("#/settings/profile", "Your name"),
        ("#/settings/requests", "Who can contact you"),
        ("#/settings/notifications", "Notifications"),
        ("#/settings/devices", "Devices"),
        ("#/settings/password", "Password"),
        ("#/settings/blocked", "Blocked people"),
        ("#/settings/standing", "Account standing"),
        ("#/settings/protections", "Protections"),
        ("#/settings/reports", "Your reports"),
        ("#/settings/export", "Export my data"),
        ("#/terms", "Terms and standards"),
        ("#/help", "Get help"),
        ("#/add", "Add a person"),
        ("#/i/not-a-real-token", "You opened an invite link"),
    ):
        ann.go(where)
        ann.sees_heading(heading)
        expect(ann.page.get_by_text("Loading")).to_have_count(0)
        looks.at(ann.page, where.removeprefix("#/").replace("/", "-"))
    ann.go("#/settings")
    ann.button("Sign out").click()
    ann.sees_heading("Sign out on this device?")
    looks.at(ann.page, "sheet-sign-out")
    ann.close_sheet()


def test_screens_mirrored(meet: Meet) -> None:
    """Right to left, with every word of the catalogue mirrored: nothing sideways, untranslated or broken."""
    dot = meet("Dot Pine")
    eve = meet("Eve Oak")
    dot.request("eve.oak", "Hello Eve")
    dot.sees_request_sent()
    eve.accept("Dot Pine")
    looks = Looks()
    for person in (dot, eve):
        person.page.goto("/?lang=ar-XB#/")
        expect(person.page.locator("html")).to_have_attribute("dir", "rtl")
    page = dot.page
    page.locator("a[href^='#/c/']").first.click()
    expect(dot.log).to_be_visible()
    looks.at(page, "rtl-thread")
    for where in ("#/", "#/add", "#/requests", "#/settings", "#/settings/devices", "#/settings/protections", "#/help"):
        dot.go_out(where)
        expect(page.get_by_role("heading").first).to_be_visible()
        looks.at(page, f"rtl{where[1:].replace('/', '-')}")
        if where not in ELSEWHERE:
            assert re.findall("[A-Za-z]{3,}", said_by_kith(dot)) == [], where
    assert looks.faults == []


ELSEWHERE = {"#/settings/protections", "#/help"}
"""Screens with words that are not the catalogue's: the server's sentences, names of countries and helplines."""
MIRRORED = re.compile("\u202e[^\u202c]*\u202c")
"""A word that came out of the catalogue of the made-up language."""
GIVEN = re.compile("Hello Eve|Dot Pine|Eve Oak|dot.pine|eve.oak|nobody|Chrome on Linux")


def said_by_kith(person: Person) -> str:
    """The words on the screen that neither the catalogue nor anybody gave."""
    return GIVEN.sub("", MIRRORED.sub("", person.page.locator("body").inner_text()))


def test_screens_of_staff(meet: Meet, review: Review) -> None:
    """Queue, case, evidence, decision, appeal, CyberTips, roles: with the restricted person's own screens."""
    looks = Looks()
    fay, gus = meet("Fay Elm"), meet("Gus Ash", born=(2011, 7))
    fay.open_invite(gus.invite(), "Hello Gus")
    gus.accept("Fay Elm")
    gus.reads("Hello Gus")
    looks.at(gus.page, "thread-minor")
    gus.report("Hello Gus", "Bullying or threats", minor=True, note="Again and again.")
    gus.button("Done").click()
    cara = review("cara", "child-safety", "reviewer")
    looks.at(cara.page, "queue")
    cara.take("Child safety")
    looks.at(cara.page, "case")
    cara.open_all()
    cara.judge(cara.exhibit(), "Breaks the standards")
    looks.at(cara.page, "case-open")
    cara.decide("child-safety", "No new conversations", days=7)
    looks.at(cara.page, "tip")
    cara.button("Read it").click()
    looks.at(cara.page, "tip-read")
    for path in ("/tips", "/kept", "/decisions", "/shift", "/"):
        cara.page.goto(path)
        looks.at(cara.page, f"staff{path.replace('/', '-')}")
    cara.expects("404 (Not Found)")
    cara.page.goto("/nothing/here")
    looks.at(cara.page, "staff-not-found")
    cara.page.goto("/")
    cara.page.get_by_role("button", name="Sign out").click()
    looks.at(cara.page, "staff-sign-in")

    fay.go("#/settings/standing")
    fay.sees_heading("You can't start new chats")
    looks.at(fay.page, "standing")
    fay.button("Request review").click()
    looks.at(fay.page, "standing-appeal")
    fay.fill("What should the reviewer know?", "We are cousins.")
    fay.button("Send for review").click()
    fay.sees("Review requested.")
    fay.go("#/add")
    fay.sees_heading("You can't start new chats")
    looks.at(fay.page, "cannot-start")
    carl = review("carl", "child-safety", "admin")
    carl.take("Appeals")
    looks.at(carl.page, "appeal")
    carl.rule("Uphold")
    carl.page.goto("/staff")
    looks.at(carl.page, "staff-roles")
    fay.go("#/settings/standing")
    fay.sees("A person looked again. The decision stays.")
    looks.at(fay.page, "standing-upheld")
    assert looks.faults == []


def test_everything_by_keyboard(meet: Meet) -> None:
    """Sign in, open a chat, write, report: with the keyboard alone, and the focus never lost."""
    hal, ivo = meet("Hal Birch"), meet("Ivo Yew")
    ivo.request("hal.birch", "Hello Hal")
    ivo.sees_request_sent()
    hal.accept("Ivo Yew")
    hal.reads("Hello Hal")
    page = hal.page
    hal.home()
    page.reload()
    hal.at_chats()
    tab_to(hal, re.compile("^.*Ivo Yew"))
    page.keyboard.press("Enter")
    expect(hal.log).to_be_visible()
    tab_to(hal, "Message")
    page.keyboard.type("Typed without a mouse")
    page.keyboard.press("Enter")
    hal.reads("Typed without a mouse")
    ivo.open_chat("Hal Birch")
    ivo.reads("Typed without a mouse")
    tab_to(hal, "Show options for: Hello Hal", backwards=True)
    page.keyboard.press("Enter")
    tab_to(hal, "Report")
    page.keyboard.press("Enter")
    hal.sees_heading("What's wrong?")
    tab_to(hal, "This involves someone under 18")
    page.keyboard.press("Space")
    tab_to(hal, "Something else", backwards=True)
    page.keyboard.press("Enter")
    hal.sees_heading("Here is exactly what we'll send")
    tab_to(hal, "Send report")
    page.keyboard.press("Enter")
    hal.sees_heading("Report sent")
    page.keyboard.press("Escape")
    expect(page.locator("dialog")).to_have_count(0)
    assert focused(hal) != "", "the focus comes back from the sheet"


def tab_to(person: Person, name: str | re.Pattern[str], *, backwards: bool = False) -> None:
    """Press Tab until the control of this name has the focus, as somebody would who cannot point."""
    for _ in range(60):
        at = focused(person)
        if re.search(name, at) if isinstance(name, re.Pattern) else at == name:
            outline = person.page.evaluate("() => getComputedStyle(document.activeElement).outlineStyle")
            assert outline != "none", f"{at} shows no focus"
            return
        person.page.keyboard.press("Shift+Tab" if backwards else "Tab")
    raise AssertionError(f"{name} is not reached by Tab; the focus is on {focused(person)}")


def focused(person: Person) -> str:
    """The accessible name of what has the focus, as far as these screens make names."""
    said = person.page.evaluate(
        """() => {
            const at = document.activeElement;
            if (at === document.body) return '';
            return at.getAttribute('aria-label') ?? at.labels?.[0]?.innerText ?? at.innerText ?? at.tagName;
        }"""
    )
    return " ".join(str(said).split())

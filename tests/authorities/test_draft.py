"""A draft says what the case holds: marked, with gaps, with nothing invented."""

from __future__ import annotations

from pathlib import Path

import msgspec
import pytest

from authorities.bureau import CANARY, OPERATOR, Bureau
from authorities.samples import NOW
from kith.app import tipline
from kith.authorities import flows, xml
from kith.authorities.cybertip import InvalidTip, report_xml
from kith.authorities.draft import (
    Account,
    CaseFacts,
    Choices,
    Conversation,
    Line,
    Operator,
    Paper,
    SignIn,
    assemble,
    first_paper,
    transcript,
)
from kith.ledger import log
from kith.ledger.database import Database
from kith.ledger.events import TipDrafted
from reports.world import START

NOW_MS = int(NOW.timestamp() * 1000)


def account(name: str, band: str = "18+") -> Account:
    """Somebody."""
    return Account(id=f"id-of-{name}", handle=name, display_name=name.title(), band=band, created_ms=START)


def facts(**changes: object) -> CaseFacts:
    """A small case: Marco, reported by Tim, a minor."""
    plain = CaseFacts(
        server="kith.test",
        reported=account("marco"),
        reporters=(account("tim", "13-15"),),
        minors=frozenset({"id-of-tim"}),
        conversations=(Conversation(room="a-room", reporter="id-of-tim", filed_ms=START),),
        decided_ms=START,
    )
    return msgspec.structs.replace(plain, **changes)


def said(seq: int | None, text: str = "words", flaw: str | None = None, side: str = "reported") -> Line:
    """A line handed in."""
    return Line(side=side, seq=seq, at_ms=START + 1000 * (seq or 0), text=text, flaw=flaw)  # type: ignore[arg-type]


def test_each_line_says_whether_it_is_proven_when_and_by_whom() -> None:
    """An investigator must never take a claim for a proof."""
    conversation = Conversation(
        room="a-room",
        reporter="id-of-tim",
        filed_ms=START,
        lines=(said(1), said(2, side="reporter"), said(3, flaw="never accepted")),
    )
    assert list(transcript(conversation)) == [
        "2026-01-01 00:00:01 UTC reported person message 1 VERIFIED:\n    | words",
        "2026-01-01 00:00:02 UTC person who reported message 2 VERIFIED:\n    | words",
        "2026-01-01 00:00:03 UTC reported person message 3 UNVERIFIED (never accepted):\n    | words",
    ]


def test_what_was_left_out_is_listed_where_it_is_missing() -> None:
    """Gaps between proven messages, and the end that was not handed in."""
    conversation = Conversation(
        room="a-room",
        reporter="id-of-tim",
        filed_ms=START,
        lines=(said(1), said(None, flaw="x"), said(4), said(9)),
        gaps=((2, 3), (5, 8)),
        omitted_tail=6,
    )
    lines = [line.splitlines()[0] for line in transcript(conversation)]
    assert lines == [
        "2026-01-01 00:00:01 UTC reported person message 1 VERIFIED:",
        "2026-01-01 00:00:00 UTC reported person UNVERIFIED (x):",
        "[messages 2 to 3 were not handed in]",
        "2026-01-01 00:00:04 UTC reported person message 4 VERIFIED:",
        "[messages 5 to 8 were not handed in]",
        "2026-01-01 00:00:09 UTC reported person message 9 VERIFIED:",
        "[the last 6 message(s) of the conversation were not handed in]",
    ]


@pytest.mark.parametrize("separator", ["\n", "\r\n", "\r", "\u2028", "\x0b", "\x85"])
def test_a_message_cannot_pretend_to_be_a_further_line(separator: str) -> None:
    """Whatever separates lines, a message's own are indented."""
    forged = f"hello{separator}2026-01-01 00:00:02 UTC reported person message 2 VERIFIED:"
    conversation = Conversation(room="r", reporter="t", filed_ms=START, lines=(said(1, forged),))
    carried = xml.carriable("\n".join(transcript(conversation)))
    assert [line for line in carried.split("\n") if not line.startswith("    | ")] == [
        "2026-01-01 00:00:01 UTC reported person message 1 VERIFIED:"
    ]


def test_words_alone_are_reportable_and_so_is_a_report_without_messages() -> None:
    """No gate asks for media, nor even for messages."""
    body = report_xml(assemble(first_paper(facts()), OPERATOR, now_ms=NOW_MS), now=NOW)
    root = xml.parse(body)
    tipline.validate(root, NOW.timestamp())
    content = root.findtext("internetDetails/chatImIncident/content")
    assert content == "[no messages were handed in with this report]"


@pytest.mark.parametrize(
    ("suspended", "element"),
    [("for a time", "accountTemporarilyDisabled"), ("until reversed", "accountPermanentlyDisabled"), ("no", None)],
)
def test_the_state_of_the_account_is_said_as_it_is(suspended: str, element: str | None) -> None:
    """A boolean that is there only when it is true."""
    report = assemble(first_paper(facts(suspended=suspended)), OPERATOR, now_ms=NOW_MS)
    root = xml.parse(report_xml(report, now=NOW))
    disabled = [e.tag for e in root.iter() if e.tag.endswith("Disabled")]
    assert disabled == ([element] if element else [])


def test_a_minor_who_reports_is_a_victim_and_an_adult_a_recipient() -> None:
    """And neither is given an age that the service does not know."""
    both = facts(reporters=(account("tim", "13-15"), account("nadia")))
    report = assemble(first_paper(both), OPERATOR, now_ms=NOW_MS)
    assert [v.screen_name for v in report.victim] == ["tim"]
    assert [r.screen_name for r in report.intended_recipient] == ["nadia"]
    assert report.victim[0].victim_person.age is None
    assert "13-15" in str(report.victim[0].additional_info)


def test_addresses_are_those_retained_and_what_is_none_is_left_out() -> None:
    """Never invented, never nonsense."""
    seen = (
        SignIn(way="sign-up", at_ms=START, address="2001:0DB8::7"),
        SignIn(way="recovery", at_ms=START + 1000, address="192.0.2.7"),
        SignIn(way="sign-in", at_ms=START, address="unix-socket"),
    )
    report = assemble(first_paper(facts(sign_ins=seen)), OPERATOR, now_ms=NOW_MS)
    assert report.person_or_user_reported is not None
    events = report.person_or_user_reported.ip_capture_event
    assert [(e.ip_address, e.event_name, e.port) for e in events] == [
        ("2001:db8::7", "Registration", None),
        ("192.0.2.7", "Login", None),
    ]


def test_the_incident_is_the_last_proven_message_of_the_reported_person() -> None:
    """Not a claim, not the reporter's own words, and never the future."""
    lines = (said(5), said(7, flaw="x"), said(9, side="reporter"))
    conversation = Conversation(room="r", reporter="t", filed_ms=START + 99_000, lines=lines)
    report = assemble(first_paper(facts(conversations=(conversation,))), OPERATOR, now_ms=NOW_MS)
    assert report.incident_summary.incident_date_time.timestamp() * 1000 == START + 5000
    early = assemble(first_paper(facts(conversations=(conversation,))), OPERATOR, now_ms=START)
    assert early.incident_summary.incident_date_time.timestamp() * 1000 < START


def test_an_imminent_case_is_escalated_with_a_reason() -> None:
    """In words, as the receiver wants it."""
    assert first_paper(facts(imminent=True)).choices.escalate
    assert first_paper(facts()).choices.escalate == ""


def test_what_people_choose_goes_in_where_it_belongs() -> None:
    """Type, annotations, urgency, remarks."""
    choices = Choices(
        incident_type="Child Sex Trafficking",
        annotations=("sextortion",),
        escalate="He knows the address.",
        remarks="R",
    )
    report = assemble(Paper(facts=facts(), choices=choices), OPERATOR, now_ms=NOW_MS)
    assert report.incident_summary.incident_type == "Child Sex Trafficking"
    assert report.incident_summary.escalate_to_high_priority == "He knows the address."
    assert report.incident_summary.report_annotations is not None
    assert report.incident_summary.report_annotations.sextortion
    assert str(report.additional_info).endswith("Reviewer's remarks: R")


def test_without_an_operator_nothing_can_be_assembled() -> None:
    """A report names a person who can be asked."""
    with pytest.raises(InvalidTip, match="e-mail"):
        assemble(first_paper(facts()), Operator(first_name="Ada"), now_ms=NOW_MS)


def test_a_child_safety_decision_leads_to_one_draft(bureau: Bureau) -> None:
    """Whole and marked; the same decision read twice makes no second one."""
    tip = bureau.drafted()
    bureau.do(lambda tx: log.move_cursor(tx, "authorities", 0))
    bureau.react()
    assert [row.tip for row in bureau.ask(flows.list_tips)] == [tip]
    body = bureau.read(tip).body
    assert body is not None
    tipline.validate(xml.parse(body), bureau.clock.now / 1000)
    content = str(xml.parse(body).findtext("internetDetails/chatImIncident/content"))
    assert content.count(CANARY) == 4
    assert content.count(" VERIFIED:\n    | Sturm") == 3
    assert content.count("UNVERIFIED (it is from another chat)") == 1
    assert "[message 3 was not handed in]" in content
    assert xml.parse(body).findtext("personOrUserReported/screenName") == "pavel"
    assert xml.parse(body).findtext("personOrUserReported/accountPermanentlyDisabled") == "true"
    assert xml.parse(body).findtext("victim/screenName") == "tim"


def test_a_decision_for_no_action_leads_to_no_draft(bureau: Bureau) -> None:
    """The reviewer found nothing to report."""
    bureau.decided_case("no_action", severity="low")
    bureau.react()
    assert bureau.ask(flows.list_tips) == []


def test_a_draft_is_sealed_and_its_words_are_nowhere_on_disk(bureau: Bureau, tmp_path: Path) -> None:
    """With a control: the same search finds the reported person's handle."""
    bureau.drafted()
    bureau.reopened()
    stored = b"".join(file.read_bytes() for file in tmp_path.iterdir() if file.is_file())
    assert CANARY.encode() not in stored
    assert b"pavel" in stored


def test_drafting_reads_evidence_and_says_so_in_the_staff_log(bureau: Bureau) -> None:
    """Even a machine's read is an entry."""
    tip = bureau.drafted()
    assert [(row.actor, row.case) for row in bureau.entries("tip.evidence-read")] == [("server", bureau.tip(tip).case)]


def test_replaying_the_ledger_gives_the_same_tips(bureau: Bureau, tmp_path: Path) -> None:
    """Projections are what events say."""
    tip = bureau.approved()
    assert bureau.do(flows.begin, tip, bureau.office) is not None
    again = Database(tmp_path / "replayed.db", bureau.database.projectors)
    again.create_tables()
    log.replay(bureau.database, again)
    replayed, live = (database.read_now(flows.list_tips) for database in (again, bureau.database))
    assert replayed == live
    assert live[0].state == "SUBMITTING"
    again.close_now()


def test_an_event_of_a_tip_names_no_person_beyond_ids(bureau: Bureau) -> None:
    """Names and words live in sealed papers."""
    bureau.drafted()
    rows = bureau.ask(lambda reader: log.read_from(reader, 0, 1000))
    drafted = [row.event for row in rows if isinstance(row.event, TipDrafted)]
    assert len(drafted) == 1
    assert CANARY not in repr(drafted)

"""Sending over a real line to a practice CyberTipline that fails in every way that matters."""

from __future__ import annotations

import asyncio
import hashlib
from collections.abc import Awaitable, Callable
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import httpx
import pytest

from authorities.bureau import Bureau
from kith.app.tipline import AFTER_CHANGE_S, OPEN_FOR_S, Asked, Fault, Filed, Tipline
from kith.authorities import flows, store, xml
from kith.authorities.draft import Choices, Operator
from kith.authorities.environment import Destination
from kith.authorities.journal import Answered
from kith.authorities.submitter import Submitter
from kith.ledger.database import Tx
from kith.ledger.limits import DAY, HOUR

Story = Callable[[Bureau, Tipline], Awaitable[None]]


class CrashError(RuntimeError):
    """The process dies here."""


def on_the_line(tmp_path: Path, story: Story, *, slow_s: float = 5.0, **limits: int) -> None:
    """Run a story with a server and a practice CyberTipline on a port."""

    async def run() -> None:
        tipline = Tipline(slow_s=slow_s)
        async with tipline.listening() as endpoint:
            bureau = Bureau(tmp_path / "kith.db", endpoint=endpoint, **limits)
            tipline.clock = lambda: bureau.clock.now / 1000
            try:
                await story(bureau, tipline)
            finally:
                await bureau.database.close()

    asyncio.run(run())


async def patiently(bureau: Bureau, submitter: Submitter, rounds: int = 12) -> None:
    """Let the job run again and again, with the back-off between."""
    for _ in range(rounds):
        await submitter.run_once()
        bureau.clock.now += bureau.office.limits.longest_wait_ms


def test_an_approved_text_only_tip_is_submitted_finished_and_preserved(tmp_path: Path) -> None:
    """Exactly the approved bytes arrive; everything is in the journal and the staff log."""

    async def story(bureau: Bureau, tipline: Tipline) -> None:
        tip = bureau.approved()
        assert await bureau.submitter().run_once() == 2
        row = bureau.tip(tip)
        assert (row.state, row.test) == ("FINISHED", 1)
        [received] = tipline.finished()
        assert row.report_id == str(received.id)
        assert received.body == bureau.read(tip).body
        journal = [(c.call, c.attempt, c.outcome, c.code) for c in bureau.ask(flows.journal_of, tip)]
        assert journal == [("submit", 1, "answered", 0), ("finish", 1, "answered", 0)]
        assert all(c.request_id and c.answered_ms for c in bureau.ask(flows.journal_of, tip))
        assert [k.tip for k in bureau.kept()] == [tip]
        assert len(bureau.entries("tip.submit")) == len(bureau.entries("tip.finish")) == 1
        assert await bureau.submitter().run_once() == 0
        assert tipline.calls == ["submit", "finish"]

    on_the_line(tmp_path, story)


@pytest.mark.parametrize("fault", ["1000", "1100", "http-503"])
@pytest.mark.parametrize("call", ["submit", "finish"])
def test_trouble_of_the_receiver_is_tried_again_until_it_passes(tmp_path: Path, call: str, fault: Fault) -> None:
    """Three times; then one finished report, not two."""

    async def story(bureau: Bureau, tipline: Tipline) -> None:
        tipline.plan(call, fault, fault, fault)
        tip = bureau.approved()
        await patiently(bureau, bureau.submitter(), 5)
        assert bureau.states(tip) == "FINISHED"
        assert len(tipline.reports) == len(tipline.finished()) == 1
        attempts = [c.attempt for c in bureau.ask(flows.journal_of, tip) if c.call == call]
        assert attempts == [1, 2, 3, 4]

    on_the_line(tmp_path, story)


def test_no_attempt_is_made_before_the_wait_is_over(tmp_path: Path) -> None:
    """Back-off is kept across processes: it stands in the database."""

    async def story(bureau: Bureau, tipline: Tipline) -> None:
        tipline.plan("submit", "1000")
        bureau.approved()
        assert await bureau.submitter().run_once() == 1
        bureau.clock.now += bureau.office.limits.first_wait_ms // 2 - 1
        assert await bureau.submitter().run_once() == 0
        bureau.clock.now += bureau.office.limits.first_wait_ms
        assert await bureau.submitter().run_once() == 2
        assert len(tipline.finished()) == 1

    on_the_line(tmp_path, story)


@pytest.mark.parametrize("fault", ["drop", "malformed", "slow"])
def test_a_lost_answer_to_submit_is_in_doubt_and_never_sent_again_by_itself(tmp_path: Path, fault: Fault) -> None:
    """A person may open it again once the receiver has deleted what was left open; one report is finished."""

    async def story(bureau: Bureau, tipline: Tipline) -> None:
        tipline.plan("submit", fault)
        tip = bureau.approved()
        await patiently(bureau, bureau.submitter(), 5)
        assert bureau.states(tip) == "IN_DOUBT"
        assert tipline.calls == ["submit"]
        assert len(tipline.reports) == 1
        assert bureau.do(flows.reopen, bureau.second, tip, bureau.office).refused
        bureau.clock.now += DAY
        assert bureau.do(flows.reopen, bureau.second, tip, bureau.office).allowed
        assert bureau.do(flows.approve, bureau.second, tip, bureau.read(tip).hash, bureau.office).allowed
        await patiently(bureau, bureau.submitter(), 2)
        assert bureau.states(tip) == "FINISHED"
        assert len(tipline.finished()) == 1

    on_the_line(tmp_path, story, slow_s=0.4, call_timeout_ms=200)


@pytest.mark.parametrize("fault", ["drop", "malformed", "slow"])
def test_a_lost_answer_to_finish_is_asked_for_again_and_already_finished_means_yes(
    tmp_path: Path, fault: Fault
) -> None:
    """5102 is success."""

    async def story(bureau: Bureau, tipline: Tipline) -> None:
        tipline.plan("finish", fault)
        tip = bureau.approved()
        await patiently(bureau, bureau.submitter(), 3)
        assert bureau.states(tip) == "FINISHED"
        assert [c.code for c in bureau.ask(flows.journal_of, tip)] == [0, None, 5102]
        assert len(tipline.finished()) == 1
        assert len(bureau.kept()) == 1

    on_the_line(tmp_path, story, slow_s=0.4, call_timeout_ms=200)


def test_an_unreachable_receiver_does_no_harm(tmp_path: Path) -> None:
    """Nothing went out, so it is simply tried again."""

    async def story(bureau: Bureau, tipline: Tipline) -> None:
        there = bureau.office
        bureau.office = replace(there, destination=Destination("http://127.0.0.1:1/ispws"))
        tip = bureau.approved()
        await patiently(bureau, bureau.submitter(), 3)
        assert [c.outcome for c in bureau.ask(flows.journal_of, tip)] == ["not sent"] * 3
        bureau.office = there
        await patiently(bureau, bureau.submitter(), 1)
        assert bureau.states(tip) == "FINISHED"
        assert len(tipline.reports) == 1

    on_the_line(tmp_path, story)


def test_a_refused_report_waits_for_a_person_and_keeps_its_words(tmp_path: Path) -> None:
    """Wrong credentials are answered with a bare 401; the draft can be opened again."""

    async def story(bureau: Bureau, tipline: Tipline) -> None:
        tip = bureau.approved()
        await bureau.submitter(password="wrong").run_once()
        assert (bureau.states(tip), bureau.tip(tip).code) == ("FAILED", 2000)
        assert bureau.do(flows.reopen, bureau.second, tip, bureau.office).allowed
        assert bureau.read(tip).body is not None
        assert tipline.reports == {}

    on_the_line(tmp_path, story)


def test_an_expired_report_is_said_to_be_expired(tmp_path: Path) -> None:
    """The receiver deleted it before it was finished."""

    async def story(bureau: Bureau, tipline: Tipline) -> None:
        tipline.plan("finish", "1000")
        tip = bureau.approved()
        await bureau.submitter().run_once()
        bureau.clock.now += 2 * DAY
        await bureau.submitter().run_once()
        assert bureau.states(tip) == "EXPIRED"
        assert tipline.finished() == []
        assert bureau.do(flows.reopen, bureau.second, tip, bureau.office).allowed

    on_the_line(tmp_path, story)


def test_a_report_that_cannot_be_finished_is_retracted(tmp_path: Path) -> None:
    """Ten refusals by the receiver's own trouble; then it is taken back and a person looks."""

    async def story(bureau: Bureau, tipline: Tipline) -> None:
        trouble: list[Fault] = ["1000"] * 10
        tipline.plan("finish", *trouble)
        tip = bureau.approved()
        opened = bureau.clock.now / 1000
        tipline.clock = lambda: opened  # nothing expires in this story
        await patiently(bureau, bureau.submitter(), 12)
        assert bureau.states(tip) == "RETRACTED"
        assert [report.state for report in tipline.reports.values()] == ["retracted"]
        assert len([c for c in bureau.ask(flows.journal_of, tip) if c.call == "finish"]) == 10

    on_the_line(tmp_path, story)


BEGIN, SETTLE = flows.begin, flows.settle


@pytest.mark.parametrize("step", range(4))
@pytest.mark.parametrize("when", ["before the write", "after the write"])
def test_a_crash_at_every_step_of_the_journal_resumes_without_a_second_report(
    tmp_path: Path, step: int, when: str
) -> None:
    """Steps: submit's intent and answer, finish's intent and answer; the process dies before or after each write."""

    async def story(bureau: Bureau, tipline: Tipline) -> None:
        tip = bureau.approved()
        with pytest.raises(CrashError):
            await _crashing(bureau, bureau.submitter(), step, when).run_once()
        await patiently(bureau, bureau.submitter(), 3)
        if bureau.states(tip) == "IN_DOUBT":
            # The only doubtful place: submit was journalled, and whether it arrived is not known here.
            assert (step, when) in {(0, "after the write"), (1, "before the write")}
            assert len(tipline.reports) <= 1
            assert tipline.finished() == []
            bureau.clock.now += DAY
            assert bureau.do(flows.reopen, bureau.second, tip, bureau.office).allowed
            assert bureau.do(flows.approve, bureau.second, tip, bureau.read(tip).hash, bureau.office).allowed
            await patiently(bureau, bureau.submitter(), 3)
        assert bureau.states(tip) == "FINISHED"
        assert len(tipline.finished()) == 1
        assert len(bureau.kept()) == 1
        assert bureau.ask(lambda reader: reader.all(store.UNANSWERED)) == []

    on_the_line(tmp_path, story)


def _crashing(bureau: Bureau, submitter: Submitter, step: int, when: str) -> Submitter:
    """A submitter whose process dies at its n-th write of the journal."""
    write, seen = bureau.database.write, iter(range(100))

    async def dying(flow: Callable[..., Any], *args: Any) -> Any:
        if flow not in (BEGIN, SETTLE):
            return await write(flow, *args)
        last = next(seen) == step
        if last and when == "before the write":
            raise CrashError
        answer = await write(flow, *args)
        if last:
            raise CrashError
        return answer

    dead = SimpleNamespace(read=bureau.database.read, write=dying)
    submitter._database = dead  # type: ignore[assignment]  # what the submitter uses of a database
    return submitter


def test_while_a_call_is_under_way_no_second_one_begins(bureau: Bureau) -> None:
    """The journal is the lock."""
    tip = bureau.approved()
    assert bureau.do(flows.begin, tip, bureau.office) is not None
    assert bureau.do(flows.begin, tip, bureau.office) is None


def test_an_answer_is_taken_once(bureau: Bureau) -> None:
    """A late duplicate changes nothing."""
    sending = bureau.do(flows.begin, bureau.approved(), bureau.office)
    assert bureau.do(flows.settle, sending.entry, Answered(200, 0, "7"), bureau.office, 0.5) == "OPEN"
    assert bureau.do(flows.settle, sending.entry, Answered(200, 4000), bureau.office, 0.5) is None


def test_nothing_is_sent_without_a_second_person(tmp_path: Path) -> None:
    """A draft stays a draft; its writer and its editor cannot approve it, nor can other roles."""

    async def story(bureau: Bureau, tipline: Tipline) -> None:
        tip = bureau.drafted()
        third, outsider = bureau.staff("fran", "child-safety"), bureau.staff("gus", "reviewer", "admin")
        digest = bureau.read(tip).hash
        assert bureau.do(flows.approve, bureau.decider, tip, digest, bureau.office).refused
        assert bureau.do(flows.approve, outsider, tip, digest, bureau.office).refused
        assert bureau.do(flows.edit, third, tip, Choices(remarks="Read twice."), bureau.office).allowed
        assert bureau.do(flows.approve, third, tip, bureau.read(tip).hash, bureau.office).refused
        await patiently(bureau, bureau.submitter(), 2)
        assert tipline.calls == []
        outcomes = sorted(row.outcome for row in bureau.entries("tip.approved"))
        assert outcomes == ["refused"] * 3
        assert bureau.do(flows.approve, bureau.second, tip, bureau.read(tip).hash, bureau.office).allowed
        await patiently(bureau, bureau.submitter(), 1)
        assert len(tipline.finished()) == 1

    on_the_line(tmp_path, story)


def test_approval_is_for_the_words_that_were_read(bureau: Bureau) -> None:
    """A change in between asks for another reading."""
    tip = bureau.drafted()
    digest = bureau.read(tip).hash
    assert bureau.do(flows.edit, bureau.decider, tip, Choices(remarks="More."), bureau.office).allowed
    refused = bureau.do(flows.approve, bureau.second, tip, digest, bureau.office)
    assert [reason.rule for reason in refused.reasons] == ["tip-changed"]


def test_an_approved_paper_that_was_altered_is_not_sent(bureau: Bureau) -> None:
    """What leaves is what two people approved, or nothing."""
    tip, other = bureau.approved(), bureau.read
    assert other(tip).body

    def swap(tx: Tx) -> None:
        tx.run(store.PAPER_XML, id=tip, new_xml=b"\x00" * 64)

    bureau.do(swap)
    assert bureau.do(flows.begin, tip, bureau.office) is None
    assert bureau.states(tip) == "FAILED"


def test_what_cannot_be_sent_cannot_be_written_into_a_draft(bureau: Bureau) -> None:
    """Lengths are checked where they can still be mended."""
    tip = bureau.drafted()
    refused = bureau.do(flows.edit, bureau.decider, tip, Choices(escalate="x" * 3001), bureau.office)
    assert [reason.rule for reason in refused.reasons] == ["tip-invalid"]


def test_reporting_is_off_until_an_endpoint_and_an_operator_are_set(tmp_path: Path) -> None:
    """Nothing is approved, nothing is called, and the reason is said."""

    async def story(bureau: Bureau, tipline: Tipline) -> None:
        tip, office = bureau.drafted(), bureau.office
        for off, rule in (
            (replace(office, destination=Destination()), "tipline-off"),
            (replace(office, has_credentials=False), "tipline-off"),
            (replace(office, operator=Operator(email="a@b")), "tip-operator"),
        ):
            refused = bureau.do(flows.approve, bureau.second, tip, bureau.read(tip).hash, off)
            assert [reason.rule for reason in refused.reasons] == [rule]
        assert bureau.do(flows.approve, bureau.second, tip, bureau.read(tip).hash, office).allowed
        bureau.office = replace(office, destination=Destination())
        assert await bureau.submitter().run_once() == 0
        assert tipline.calls == []

    on_the_line(tmp_path, story)


def test_start_up_asks_whether_the_credentials_are_known(tmp_path: Path) -> None:
    """One status call; wrong mode, wrong password and a dead line are told apart in words."""

    async def story(bureau: Bureau, tipline: Tipline) -> None:
        assert (await bureau.submitter().check()).allowed
        assert "2000" in (await bureau.submitter(password="wrong").check()).reasons[0].because
        tipline.plan("status", "drop")
        assert "reached" in (await bureau.submitter().check()).reasons[0].because
        bureau.office = replace(bureau.office, destination=Destination("https://report.cybertip.org/ispws"))
        assert (await bureau.submitter().check()).refused

    on_the_line(tmp_path, story)


def test_test_reports_are_counted_apart_and_are_no_prior_reports(tmp_path: Path) -> None:
    """A practice run must never appear in a real report or a transparency count."""

    async def story(bureau: Bureau, tipline: Tipline) -> None:
        tip = bureau.approved()
        await bureau.submitter().run_once()
        assert len(tipline.finished()) == 1
        assert bureau.ask(flows.counts) == {"test FINISHED": 1}
        about = bureau.tip(tip).account
        assert bureau.ask(lambda reader: reader.all(store.PRIOR, about=about)) == []

    on_the_line(tmp_path, story)


def test_two_people_may_decide_not_to_send_and_the_words_are_gone(bureau: Bureau) -> None:
    """The case keeps its own evidence for its own time."""
    tip = bureau.drafted()
    case = bureau.tip(tip).case
    assert bureau.ask(flows.holds_case, case)
    assert bureau.do(flows.close, bureau.decider, tip).refused
    assert bureau.do(flows.close, bureau.second, tip).allowed
    assert bureau.states(tip) == "CLOSED"
    assert not bureau.ask(flows.holds_case, case)
    assert [reason.rule for reason in bureau.do(flows.read, bureau.second, tip, bureau.office).reasons] == [
        "tip-destroyed"
    ]


def test_every_reading_is_one_entry(bureau: Bureau) -> None:
    """Refused ones too."""
    tip = bureau.drafted()
    bureau.read(tip)
    outsider = bureau.staff("gus", "reviewer")
    assert bureau.do(flows.read, outsider, tip, bureau.office).refused
    assert bureau.do(flows.read, bureau.second, "no-such-tip", bureau.office).refused
    found = [(row.actor, row.object, row.outcome) for row in bureau.entries("tip.read")]
    assert sorted(found) == sorted(
        [
            (bureau.second.id, tip, "done"),
            (outsider.id, tip, "refused"),
            (bureau.second.id, "unknown", "refused"),
        ]
    )


# The practice server itself -----------------------------------------------------------------------


def test_the_practice_server_speaks_all_seven_calls(tmp_path: Path) -> None:
    """With plain HTTP, as any client would."""

    async def story(bureau: Bureau, _line: Tipline) -> None:
        body = bureau.read(bureau.drafted()).body
        details = "<fileDetails><reportId>{}</reportId><fileId>{}</fileId></fileDetails>"
        xml_type = {"Content-Type": "text/xml; charset=utf-8"}
        async with httpx.AsyncClient(
            base_url=bureau.office.destination.endpoint, auth=("practice", "practice"), trust_env=False
        ) as client:

            async def code(call: str, **kwargs: Any) -> tuple[str, Any]:
                answer = await client.post(call, **kwargs)
                root = xml.parse(answer.content)
                return root.findtext("responseCode", ""), root

            assert (await client.get("status")).status_code == 200
            assert (await client.get("xsd")).status_code == 200
            _, opened = await code("submit", content=body, headers=xml_type)
            number = opened.findtext("reportId")
            upload = {"data": {"id": number}, "files": {"file": ("a.csv", b"a,b")}}
            done, answer = await code("upload", **upload)
            assert (done, answer.findtext("hash")) == ("0", hashlib.md5(b"a,b", usedforsecurity=False).hexdigest())
            file = answer.findtext("fileId")
            assert (await code("fileinfo", content=details.format(number, file), headers=xml_type))[0] == "0"
            assert (await code("fileinfo", content=details.format(number, "f"), headers=xml_type))[0] == "5002"
            assert (await code("finish", data={"id": "1"}))[0] == "5001"
            done, answer = await code("finish", data={"id": number})
            assert (done, answer.tag, answer.findtext("files/fileId")) == ("0", "reportDoneResponse", file)
            assert (await code("finish", data={"id": number}))[0] == "5102"
            assert (await code("retract", data={"id": number}))[0] == "5102"
            _, opened = await code("submit", content=body, headers=xml_type)
            number = opened.findtext("reportId")
            assert (await code("retract", data={"id": number}))[0] == "0"
            assert (await code("finish", data={"id": number}))[0] == "5101"
            assert (await client.get("nonsense")).status_code == 404
            bare = await client.get("status", auth=("practice", "wrong"))
            assert (bare.status_code, bare.content) == (401, b"")

    on_the_line(tmp_path, story)


@pytest.mark.parametrize(
    ("old", "new", "code"),
    [
        ("</report>", "", "4110"),
        ("<report>", "<!DOCTYPE report><report>", "4110"),
        ("<incidentType>Online Enticement of Children for Sexual Acts</incidentType>", "", "4100"),
        ("Online Enticement of Children for Sexual Acts", "Something", "4100"),
        ("<platform>Kith</platform>", f"<platform>{'x' * 257}</platform>", "4100"),
        ("<platform>Kith</platform>", "<strange/>", "4100"),
        ("<platform>Kith</platform>", "<platform>Kith</platform><platform>Kith</platform>", "4100"),
        ("</chatImIncident>", "</chatImIncident><webPageIncident/>", "4100"),
        ("<reporter>", "<additionalInfo>early</additionalInfo><reporter>", "4100"),
        ("<incidentDateTime>2026", "<incidentDateTime>2926", "4100"),
        ("Z</incidentDateTime>", "</incidentDateTime>", "4100"),
        ("<report>", '<report strange="1">', "4100"),
        ("", "", "0"),
    ],
)
def test_the_practice_server_refuses_what_the_receiver_refuses(bureau: Bureau, old: str, new: str, code: str) -> None:
    """Order, presence, lengths, choices, times; the last row is the control."""
    body = bureau.read(bureau.drafted()).body
    assert body is not None
    words = body.decode()
    assert old in words
    tipline = Tipline(clock=lambda: bureau.clock.now / 1000)
    fault = tipline._refuses_xml(_asked(words.replace(old, new, 1) if old else words), "report")
    assert (xml.parse(fault.body).findtext("responseCode") if fault else "0") == code


def _asked(body: str) -> Any:
    return Asked("POST", "/ispws/submit", {"content-type": "text/xml"}, body.encode())


@pytest.mark.parametrize(("after_h", "gone"), [(23.9, False), (24.0, True)])
def test_the_practice_server_deletes_what_nobody_finishes(after_h: float, *, gone: bool) -> None:
    """24 hours after opening, or an hour after the last change if that is later."""
    assert Filed(1, b"", opened=0, changed=0).gone(after_h * 3600) is gone
    changed = Filed(1, b"", opened=0, changed=OPEN_FOR_S)
    assert not changed.gone(OPEN_FOR_S + AFTER_CHANGE_S - 1)
    assert changed.gone(OPEN_FOR_S + AFTER_CHANGE_S)
    assert HOUR == 3_600_000

"""The life of a CyberTip: states, calls, and what each answer leads to. Pure.

DRAFT → APPROVED → SUBMITTING → OPEN → FINISHING → FINISHED, and aside IN_DOUBT, RETRACTING, RETRACTED,
FAILED, EXPIRED, and CLOSED for a draft that two people decided not to send. Every call is journalled
before it is made and after it is answered, so that a crash resumes instead of sending twice. (The
protocol's uploading and describing of files have no state here: a text-only report has no files.)

A lost answer to `/submit` cannot be told from a failure, so it is IN_DOUBT and a person decides once the
receiver has deleted what was left open. A lost answer to `/finish` is asked for again: "already finished"
means that it was.
"""

from __future__ import annotations

from typing import Literal, NamedTuple, TypeAlias

from kith.authorities.limits import DEFAULT, Limits
from kith.ledger.decision import ALLOW, Decision, refuse

State: TypeAlias = Literal[
    "DRAFT",
    "APPROVED",
    "SUBMITTING",
    "IN_DOUBT",
    "OPEN",
    "FINISHING",
    "FINISHED",
    "RETRACTING",
    "RETRACTED",
    "FAILED",
    "EXPIRED",
    "CLOSED",
]
Call: TypeAlias = Literal["submit", "finish", "retract"]

SUCCESS = 0
NO_REPORT, RETRACTED, FINISHED = 5001, 5101, 5102
RETRIED_CODES = frozenset({1000, 1100, 1110, 1111, 1300})
SERVER_FAILED = 500
"""HTTP statuses from here on are the server's fault."""

NEXT_CALL: dict[State, Call] = {
    "APPROVED": "submit",
    "SUBMITTING": "submit",
    "OPEN": "finish",
    "FINISHING": "finish",
    "RETRACTING": "retract",
}
"""What to do next, by state; SUBMITTING here is a submit that was refused for now, never one without an answer."""
CALLING: dict[Call, State] = {"submit": "SUBMITTING", "finish": "FINISHING", "retract": "RETRACTING"}


class Answered(NamedTuple):
    """An answer that could be read. `code` is the receiver's, kept even when it is not known here."""

    http_status: int
    code: int
    report_id: str | None = None
    description: str = ""
    request_id: str = ""


class NotSent(NamedTuple):
    """The call never reached the receiver: nothing was done there."""

    why: str


class Lost(NamedTuple):
    """The call went out and no readable answer came back: something may have been done."""

    why: str
    http_status: int | None = None
    request_id: str = ""


Outcome: TypeAlias = Answered | NotSent | Lost


class Step(NamedTuple):
    """What an outcome leads to: a state, and whether the same call is tried again."""

    state: State
    again: bool = False


def after(call: Call, outcome: Outcome, attempt: int, limits: Limits = DEFAULT) -> Step:
    """The next state. `attempt` = which attempt of this call this was, from 1."""
    step = _after(call, outcome)
    if step.again and attempt >= limits.attempts:
        return _given_up(call)
    return step


def _after(call: Call, outcome: Outcome) -> Step:
    match outcome:
        case NotSent():
            return Step(CALLING[call], again=True)
        case Lost():
            return Step("IN_DOUBT") if call == "submit" else Step(CALLING[call], again=True)
        case Answered(code=code) if code in RETRIED_CODES:
            return Step(CALLING[call], again=True)
        case Answered(code=code, report_id=report_id):
            return _after_answer(call, code, report_id)


def _after_answer(call: Call, code: int, report_id: str | None) -> Step:
    """Codes that settle the matter. Unknown codes count as refusals: a person looks."""
    match call:
        case "submit":
            if code == SUCCESS:
                return Step("OPEN") if report_id else Step("IN_DOUBT")
            return Step("FAILED")
        case "finish":
            known: dict[int, State] = {
                SUCCESS: "FINISHED",
                FINISHED: "FINISHED",
                NO_REPORT: "EXPIRED",
                RETRACTED: "RETRACTED",
            }
            return Step(known.get(code, "RETRACTING"))
        case "retract":
            known = {SUCCESS: "RETRACTED", RETRACTED: "RETRACTED", NO_REPORT: "EXPIRED", FINISHED: "FINISHED"}
            return Step(known.get(code, "FAILED"))


def _given_up(call: Call) -> Step:
    """Too many attempts: who or what goes on.

    An open report that cannot be finished is retracted; if even that stays unanswered, it
    may have been finished after all, and a person has to find out.
    """
    match call:
        case "submit":
            return Step("FAILED")
        case "finish":
            return Step("RETRACTING")
        case "retract":
            return Step("IN_DOUBT")


def wait_ms(attempt: int, chance: float, limits: Limits = DEFAULT) -> int:
    """Back-off before the next attempt: doubling, capped, with full jitter (`chance` from 0 to 1)."""
    most = min(limits.first_wait_ms << (attempt - 1), limits.longest_wait_ms)
    return most // 2 + int(most / 2 * chance)


def may_approve(state: State, *, staff: str, wrote: tuple[str, ...]) -> Decision:
    """A second child-safety person reads and approves; nobody approves what they wrote."""
    if state != "DRAFT":
        return refuse("tip-state", "Only a draft can be approved.", "staff")
    if staff in wrote:
        return refuse("tip-second-person", "You wrote this draft. A second person has to approve it.", "staff")
    return ALLOW


def may_close(state: State, *, staff: str, wrote: tuple[str, ...]) -> Decision:
    """Not to send is as grave as to send: a second person decides it."""
    if state not in ("DRAFT", "FAILED", "RETRACTED", "EXPIRED"):
        return refuse("tip-state", "This CyberTip is under way or done.", "staff")
    if staff in wrote:
        return refuse("tip-second-person", "You wrote this draft. A second person has to close it.", "staff")
    return ALLOW


def may_edit(state: State) -> Decision:
    """Drafts are open to changes; what was approved is not, so that what is sent is what was approved."""
    return ALLOW if state == "DRAFT" else refuse("tip-state", "Only a draft can be changed.", "staff")


def may_reopen(state: State, *, since_ms: int, now: int, limits: Limits = DEFAULT) -> Decision:
    """Make a draft of it again: when it failed for good, or when a doubtful one cannot be open there any more."""
    if state in ("FAILED", "RETRACTED", "EXPIRED"):
        return ALLOW
    if state != "IN_DOUBT":
        return refuse("tip-state", "This CyberTip is under way or done.", "staff")
    if now - since_ms < limits.deletion_window_ms:
        return refuse(
            "tip-in-doubt",
            "It may stand open at the CyberTipline. An unfinished report is deleted there after 24 hours; "
            "wait until then, so that it is not sent twice.",
            "staff",
        )
    return ALLOW

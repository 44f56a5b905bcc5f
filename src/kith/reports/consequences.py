"""What may follow from a review, and on what grounds. Pure.

Only a verified message of the reported person that a reviewer found to break the standards, or a reason that the
reviewer wrote down, carries a measure. The number of reports is not a fact here at all.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final, Literal, TypeAlias, get_args

from kith.ledger.decision import Decision, Reason, refuse
from kith.ledger.limits import DAY
from kith.people import ladder
from kith.people.ladder import Severity, Step
from kith.reports.limits import Limits
from kith.reports.staff_roles import Queue
from kith.reports.taxonomy import Action, Policy

Verdict: TypeAlias = Literal["breaks-standards", "allowed", "unclear"]
VERDICTS: Final[tuple[Verdict, ...]] = get_args(Verdict)
SHORTEST_REASON: Final = 20
"""Characters: a reason that stands in for evidence says something."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Choice:
    """What a reviewer chose. `days` is None for `until reversed` and for what has no term."""

    action: Action
    policy: Policy
    severity: Severity
    days: int | None = None
    reason: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Grounds:
    """What a choice rests on. `proven` = verified messages of the reported person found to break the standards."""

    queue: Queue
    proven: int
    unverified: int


def may_follow(choice: Choice, grounds: Grounds, limits: Limits) -> Decision:
    """May this choice follow on these grounds?"""
    policy, action = choice.policy, choice.action
    if policy.child_safety and grounds.queue != "child-safety":
        return refuse("child-safety-queue", "Move this case to child safety first; it is decided there.", "staff")
    if action not in policy.actions:
        return refuse("action-of-policy", f"“{policy.title}” does not lead to that action.", "staff")
    if choice.days is not None and not 1 <= choice.days <= limits.longest_measure_days:
        return refuse("days", f"Choose 1 to {limits.longest_measure_days} days.", "staff")
    if action == "restrict" and choice.days is None:
        return refuse("days", "A restriction needs a number of days.", "staff")
    if action != "no_action" and not (grounds.proven or len(choice.reason.strip()) >= SHORTEST_REASON):
        return refuse(
            "evidence-or-reason",
            "Mark a verified message of this person as breaking the standards, or write your reason "
            f"({SHORTEST_REASON} characters or more).",
            "staff",
        )
    return Decision("allow", (Reason(policy.id, _said(choice, grounds), "staff"),))


def _said(choice: Choice, grounds: Grounds) -> str:
    basis = (
        f"{grounds.proven} verified message(s) break the standards" if grounds.proven else "the reviewer's own reason"
    )
    return f"{choice.action} under {choice.policy.id} ({choice.severity}); {basis}"


def step_of(choice: Choice, now: int) -> Step | None:
    """The step of the ladder that a choice asks `people.enforcement` for; None for no action."""
    until = None if choice.days is None else now + choice.days * DAY
    match choice.action:
        case "no_action":
            return None
        case "warn":
            return ladder.warning()
        case "restrict":
            return ladder.no_new_conversations(now if until is None else until)
        case "suspend":
            return ladder.suspended(until)


def may_work_on(reviewer: str, original: str | None) -> Decision:
    """May this reviewer decide an appeal against what `original` decided? Nobody judges their own decision."""
    if original is not None and reviewer == original:
        return refuse("appeal-other-reviewer", "You made the first decision. Somebody else has to look again.", "staff")
    return Decision("allow")


def may_appeal(*, state: str | None, until_ms: int | None, reversed_ms: int | None, now: int) -> Decision:
    """May a measure be appealed: once, in time, and while there is something to appeal?"""
    if reversed_ms is not None:
        return refuse("appeal-reversed", "This was already taken back.")
    if state is not None:
        return refuse("appeal-once", "You have already asked for this to be looked at again.")
    if until_ms is None or now >= until_ms:
        return refuse("appeal-in-time", "The time to ask for a review of this is over.")
    return Decision("allow")

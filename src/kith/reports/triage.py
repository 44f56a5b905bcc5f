"""Where a case stands in the queue, when somebody should look, and why. Pure.

Severity first, then proof, then waiting time. A report moves a case up by what it shows, never by how many there are:
a thousand reports of one kind stand exactly where one stands.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final, Literal, TypeAlias, get_args

from kith.people.ladder import Severity
from kith.reports.limits import Limits
from kith.reports.staff_roles import Queue

Category: TypeAlias = Literal["sexual", "impersonation", "scam", "bullying", "drugs_weapons", "other"]
CATEGORIES: Final[tuple[Category, ...]] = get_args(Category)

_SEVERITY: Final[Mapping[Category, Severity]] = {
    "sexual": "severe",
    "drugs_weapons": "severe",
    "bullying": "moderate",
    "impersonation": "moderate",
    "scam": "moderate",
    "other": "low",
}
_BASE: Final[Mapping[Severity, int]] = {"low": 10, "moderate": 30, "severe": 50, "imminent": 70}
"""Points; the distance between two severities is larger than everything else together."""
CHILD: Final = 20
"""Points for a case in which a child may be involved: above every other of its severity and proof."""
PROVEN: Final = 9
OVER_BUDGET: Final = -9
"""Points taken from reports over an account's daily number; never from child-safety."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ReportFacts:
    """What triage knows about a report. Ages are as protections see them: unknown counts as a minor."""

    category: Category
    minor_involved: bool
    reported_is_minor: bool
    reporter_is_minor: bool
    proven: bool
    """At least one verified message that the reported person sent."""
    over_budget: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class Place:
    """Where a case stands: its queue, 0-100 points, when it is due (ms), and why, in words for staff."""

    queue: Queue
    priority: int
    due_ms: int
    because: str

    def above(self, priority: int) -> bool:
        """Would this place move a case up?"""
        return self.priority > priority


def of_report(facts: ReportFacts, now: int, limits: Limits) -> Place:
    """The place of a report that comes in now."""
    child = child_safety(facts)
    severity: Severity = "severe" if child and facts.minor_involved else _SEVERITY[facts.category]
    reasons = [f"category {facts.category}", f"severity {severity}"]
    points = _BASE[severity]
    if child:
        points += CHILD
        reasons.append(_why_child(facts))
    if facts.proven:
        points += PROVEN
        reasons.append("verified messages of the reported person")
    if facts.over_budget and not child:
        points += OVER_BUDGET
        reasons.append("the reporter is over today's number of reports")
    return Place(
        queue="child-safety" if child else "general",
        priority=points,
        due_ms=now + due_after(severity, limits),
        because="; ".join(reasons),
    )


def child_safety(facts: ReportFacts) -> bool:
    """Does this report go to the child-safety queue?"""
    a_minor = facts.reported_is_minor or facts.reporter_is_minor
    return facts.minor_involved or (facts.category == "sexual" and a_minor)


def first_as_told(facts: ReportFacts) -> bool:
    """May the reporter be told that this is looked at first?

    Only from what the reporter said and is: an answer that depended on the other's age would reveal it.
    """
    return facts.minor_involved or (facts.category == "sexual" and facts.reporter_is_minor)


def _why_child(facts: ReportFacts) -> str:
    if facts.minor_involved:
        return "the reporter says that somebody under 18 is involved"
    return "a minor is party to it"


def of_rule(rule: str, now: int, limits: Limits, *, child: bool) -> Place:
    """The place of a case that a behaviour rule asks for: nothing was said or proven, so people look in turn.

    `child`: the rule is about behaviour towards children.
    """
    severity: Severity = "severe" if child else "moderate"
    return Place(
        queue="child-safety" if child else "general",
        priority=_BASE[severity] + (CHILD if child else 0),
        due_ms=now + due_after(severity, limits),
        because=f"behaviour rule {rule}; severity {severity}",
    )


def of_escalation(now: int, limits: Limits) -> Place:
    """The place of a case that a reviewer handed to child safety."""
    return Place(
        queue="child-safety",
        priority=_BASE["severe"] + CHILD,
        due_ms=now + due_after("severe", limits),
        because="a reviewer moved it to child safety; severity severe",
    )


def of_appeal(what: str, now: int, limits: Limits) -> Place:
    """The place of an appeal: who cannot write at all waits least."""
    suspended = what == "suspended"
    return Place(
        queue="appeals",
        priority=_BASE["severe" if suspended else "moderate"],
        due_ms=now + limits.due_appeal_ms,
        because=f"appeal of {what.replace('_', ' ')}",
    )


def due_after(severity: Severity, limits: Limits) -> int:
    """Milliseconds within which somebody should look."""
    return {
        "imminent": limits.due_imminent_ms,
        "severe": limits.due_severe_ms,
        "moderate": limits.due_moderate_ms,
        "low": limits.due_low_ms,
    }[severity]

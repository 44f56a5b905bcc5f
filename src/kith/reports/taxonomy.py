"""The Community Standards as reviewers use them: what to look for, and what may follow.

Ids, titles, first severities and the words that people read are those of `people.standards`; nothing of them is
repeated here. A standard without an entry below would leave reviewers without guidance, so that is an error at import.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final, Literal, TypeAlias, get_args

from kith.people.ladder import Severity
from kith.people.standards import BY_ID as STANDARD
from kith.people.standards import STANDARDS, Standard

Action: TypeAlias = Literal["no_action", "warn", "restrict", "suspend"]
ACTIONS: Final[tuple[Action, ...]] = get_args(Action)
SEVERITIES: Final[tuple[Severity, ...]] = get_args(Severity)
GROUPS: Final = {
    "violence": "Violence and crime",
    "safety": "Safety",
    "objectionable": "Objectionable content",
    "service": "Use of the service",
}

_MILD: Final[tuple[Action, ...]] = ("no_action", "warn", "restrict")
_HELP: Final[tuple[Action, ...]] = ("no_action",)


@dataclass(frozen=True, slots=True)
class Policy:
    """A standard with what reviewers need. `child_safety`: decided in the child-safety queue alone."""

    standard: Standard
    looks_for: str
    actions: tuple[Action, ...] = ACTIONS
    child_safety: bool = False

    @property
    def id(self) -> str:
        """The standard's stable id."""
        return self.standard.id

    @property
    def title(self) -> str:
        """The standard's title."""
        return self.standard.title

    @property
    def severity(self) -> Severity:
        """Where a first decision starts."""
        return self.standard.severity


def _policy(id_: str, looks_for: str, actions: tuple[Action, ...] = ACTIONS, *, child_safety: bool = False) -> Policy:
    return Policy(STANDARD[id_], looks_for, actions, child_safety)


POLICIES: Final[tuple[Policy, ...]] = (
    _policy("violence-incitement", "threats, calls to hurt somebody"),
    _policy("dangerous-organizations", "praise of, support for or recruiting by groups that hurt people"),
    _policy("coordinating-harm", "planning or teaching what hurts people or breaks the law; pushing to self-harm"),
    _policy("restricted-goods", "offering or asking for drugs, weapons, or what only adults may buy"),
    _policy("fraud-deception", "getting money, goods or access by lying"),
    _policy("suicide-self-injury", "somebody in danger from themself needs help, never a measure", _HELP),
    _policy(
        "child-safety",
        "anything sexual with or about somebody under 18, in words too: grooming, enticement, threats for images; "
        "minors' own images count, with teaching before punishing",
        child_safety=True,
    ),
    _policy("adult-sexual-exploitation", "sexual images without consent, threats to share them, forcing somebody"),
    _policy("bullying-harassment", "repeated unwanted contact, humiliating, setting others on somebody"),
    _policy("human-exploitation", "trafficking, forced labour, controlling somebody"),
    _policy("privacy-violations", "sharing where somebody lives or who they are"),
    _policy("hate-speech", "attacks on people for what they are"),
    _policy("graphic-violence", "cruelty shown to somebody who did not ask", _MILD),
    _policy("adult-nudity", "sexual content sent to an adult who did not ask; to a minor it is child safety", _MILD),
    _policy("sexual-solicitation", "asking strangers for sex or offering it for money"),
    _policy("spam", "the same unwanted thing to many people"),
    _policy("impersonation", "pretending to be a person or a group"),
    _policy("ban-evasion", "a new account to get around a suspension"),
    _policy("under-13", "said to be under 13, believably", ("no_action", "suspend")),
    _policy("false-reporting", "reports made up to harm somebody, again after being told", _MILD),
    _policy("platform-abuse", "attacking the service or how it is used"),
)
BY_ID: Final[dict[str, Policy]] = {policy.id: policy for policy in POLICIES}

if set(BY_ID) != {standard.id for standard in STANDARDS}:
    raise RuntimeError("every Community Standard needs an entry for reviewers, and only one")


def because(policy: Policy) -> str:
    """The reason that the person reads with a measure under this policy."""
    return f"A person looked at this and found that it goes against our standard “{policy.title}”."

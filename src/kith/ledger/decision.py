"""One decision type for every policy: an outcome and the reasons for it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Literal

import msgspec

Fact = str | int | float | bool | None
Facts = Mapping[str, Fact]
Outcome = Literal["allow", "ask", "refuse"]
Audience = Literal["person", "staff"]


class Reason(msgspec.Struct, frozen=True):
    """Why a rule spoke.

    `because` is a plain sentence. Only reasons for the audience `person` are ever shown or exported to
    the person; such a sentence betrays nobody else's age, block or existence.
    """

    rule: str
    because: str
    audience: Audience = "person"


class Decision(msgspec.Struct, frozen=True):
    """What a policy answers: allow, ask (somebody must consent or look), or refuse, with reasons."""

    outcome: Outcome
    reasons: tuple[Reason, ...] = ()

    @property
    def allowed(self) -> bool:
        """True when nothing stands in the way."""
        return self.outcome == "allow"

    @property
    def refused(self) -> bool:
        """True when the act must not happen."""
        return self.outcome == "refuse"

    def for_person(self) -> tuple[Reason, ...]:
        """The reasons that the person concerned may see."""
        return tuple(reason for reason in self.reasons if reason.audience == "person")


ALLOW = Decision("allow")


def refuse(rule: str, because: str, audience: Audience = "person") -> Decision:
    """Refuse for one reason."""
    return Decision("refuse", (Reason(rule, because, audience),))


def ask(rule: str, because: str, audience: Audience = "person") -> Decision:
    """Somebody must consent first, for one reason."""
    return Decision("ask", (Reason(rule, because, audience),))

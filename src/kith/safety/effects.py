"""From a rule that holds to what follows: through a consequence provider, live or simulated.

A rule never acts itself. Both providers have the same verbs and the same answers; the simulated one
writes nothing, so that shadow is a matter of which provider a rule is handed.
"""

from __future__ import annotations

from typing import Protocol
from uuid import uuid4

from kith.ledger.database import Tx
from kith.ledger.events import CaseProposed, NoticeShown
from kith.ledger.signals import Changed
from kith.people import enforcement
from kith.people.ladder import daily_limit
from kith.safety import notices, store
from kith.safety.features import Features
from kith.safety.limits import DEFAULT, Limits
from kith.safety.rules import Rule


class Consequences(Protocol):
    """What a rule may ask for."""

    is_simulated: bool

    def friction(self, tx: Tx, rule: Rule, account: str, features: Features) -> None:
        """Limit how many first contacts an account may ask for in a day."""

    def notice(self, tx: Tx, rule: str, to: str, about: str) -> None:
        """Put a fact about an account before a person, unless she had it lately or put it away."""

    def case(self, tx: Tx, rule: Rule, account: str, features: Features) -> None:
        """Ask people to look."""


class Simulated:
    """Shadow: the same verbs, no writes."""

    is_simulated = True

    def friction(self, tx: Tx, rule: Rule, account: str, features: Features) -> None:
        """Nothing."""

    def notice(self, tx: Tx, rule: str, to: str, about: str) -> None:
        """Nothing."""

    def case(self, tx: Tx, rule: Rule, account: str, features: Features) -> None:
        """Nothing."""


class Live:
    """Restrictions go through `people.enforcement`, the one writer of them."""

    is_simulated = False

    def __init__(self, limits: Limits = DEFAULT) -> None:
        self._limits = limits

    def friction(self, tx: Tx, rule: Rule, account: str, features: Features) -> None:
        """A daily limit with the rule's reason; the decision keeps the features it rested on."""
        enforcement.impose(
            tx,
            account,
            daily_limit(self._limits.friction_requests_per_day, tx.now + self._limits.friction_ms),
            rule=rule.id,
            because=rule.because,
            source=f"rule:{rule.id}",
            facts=features.known(),
        )

    def notice(self, tx: Tx, rule: str, to: str, about: str) -> None:
        """Shown at most once in some days per person and reason; what was put away stays away."""
        before = tx.all(store.SHOWN_BEFORE, reader_=to, whom=about, which=rule)
        shown = before[0].shown_ms if before else None
        dismissed = any(row.dismissed_ms is not None for row in before)
        if notices.may_show(shown_ms=shown, dismissed=dismissed, now=tx.now, limits=self._limits).allowed:
            tx.append(NoticeShown(notice=str(uuid4()), to=to, about=about, rule=rule))
            tx.publish(Changed(to, "notices"))

    def case(self, tx: Tx, rule: Rule, account: str, features: Features) -> None:
        """The reports room opens the case."""
        tx.append(CaseProposed(account=account, rule=rule.id, features=features.known()))

"""Rules about behaviour: a named condition with a description, and what follows from it.

A condition compares one feature with one number. `None` propagates: where a feature is not known the rule
is "not evaluable", never true and never false. Rules are data, so that the table in `docs/rules.md` and
the answer to "why?" are made of the same words that decide.
"""

from __future__ import annotations

from typing import Literal, NamedTuple

from kith.ledger.limits import DAY
from kith.safety.features import Features
from kith.safety.limits import DEFAULT, Limits

Effect = Literal["friction", "notices", "case"]
"""friction: a daily limit for some days · notices: a fact shown to those it wrote to · case: people look at it."""


class Condition(NamedTuple):
    """One feature against one bound; `below` is strict."""

    feature: str
    compare: Literal["at least", "below"]
    bound: float

    def holds(self, features: Features) -> bool | None:
        """True, False, or None when the feature is not known."""
        value = getattr(features, self.feature)
        if value is None:
            return None
        return bool(value >= self.bound if self.compare == "at least" else value < self.bound)


class Rule(NamedTuple):
    """All conditions together are the rule. `because` is said to the person, `test` proves the rule."""

    id: str
    description: str
    when_all: tuple[Condition, ...]
    effects: tuple[Effect, ...]
    because: str
    test: str

    def holds(self, features: Features) -> bool | None:
        """Whether every condition holds; None as soon as one cannot be told."""
        answers = [condition.holds(features) for condition in self.when_all]
        return None if None in answers else all(answers)


MANY_UNANSWERED = "first-contacts-unanswered"
GOES_ON = "first-contacts-go-on"


def rules(limits: Limits = DEFAULT) -> tuple[Rule, ...]:
    """Every rule, in the order in which they are judged."""
    low = limits.low_accepted_share_percent / 100
    days = limits.friction_ms // DAY
    return (
        Rule(
            id=MANY_UNANSWERED,
            description=(
                "A young account sends first contacts to many people in a day and few of them accept. Fan-out "
                "alone is not enough: organisers and newcomers write to many people too, but those say yes."
            ),
            when_all=(
                Condition("first_contacts_1d", "at least", limits.many_first_contacts),
                Condition("accepted_share", "below", low),
                Condition("account_age_ms", "below", limits.young_account_ms),
            ),
            effects=("friction", "notices"),
            because=(
                "You sent many message requests in a day and few were accepted. "
                f"For {days} days you can send {limits.friction_requests_per_day} a day."
            ),
            test="test_many_first_contacts_with_few_accepted_from_a_young_account_fire",
        ),
        Rule(
            id=GOES_ON,
            description=(
                "An account whose requests were limited keeps using the whole allowance and still few people "
                "accept. A person looks at it; nothing more happens by itself."
            ),
            when_all=(
                Condition("contacts_since_limit", "at least", limits.contacts_after_limit),
                Condition("accepted_share_since_limit", "below", low),
            ),
            effects=("case",),
            because="",
            test="test_going_on_after_the_limit_asks_people_to_look",
        ),
    )


RULE_IDS = frozenset(rule.id for rule in rules())


def documented(limits: Limits = DEFAULT) -> list[dict[str, str]]:
    """The registry as rows for `docs/rules.md`."""
    return [
        {
            "id": rule.id,
            "description": rule.description,
            "thresholds": " and ".join(f"{c.feature} {c.compare} {c.bound:g}" for c in rule.when_all),
            "effects": ", ".join(rule.effects),
            "test": rule.test,
        }
        for rule in rules(limits)
    ]

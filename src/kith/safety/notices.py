"""What a safety notice says, and when one may be put before a person.

A notice is a fact and a reassurance, never an accusation, the same for true and false alarms.
"""

from __future__ import annotations

from kith.ledger.decision import ALLOW, Decision, refuse
from kith.safety.limits import DEFAULT, Limits
from kith.safety.rules import MANY_UNANSWERED

TEXTS = {
    MANY_UNANSWERED: (
        "This account is new and has messaged many people it isn't connected to. "
        "You never owe anyone a reply or a photo."
    ),
}
"""The words by rule, at most 25 each (design: fact → choice → reassurance)."""


def may_show(*, shown_ms: int | None, dismissed: bool, now: int, limits: Limits = DEFAULT) -> Decision:
    """Whether a person may get a notice about somebody for a reason; `shown_ms` = when she last did, or None."""
    if dismissed:
        return refuse("notice-dismissed", "The person put this notice away.", "staff")
    if shown_ms is not None and now - shown_ms < limits.notice_again_ms:
        return refuse("notice-repeated", "Shown for the same reason within the last days.", "staff")
    return ALLOW

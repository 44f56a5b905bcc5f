"""What time does here: requests expire, mail and envelopes are dropped, closed things are forgotten.

Each flow does a bounded piece and says how much it did; a chore calls it until there is nothing left.
"""

from __future__ import annotations

from kith.ledger.database import Tx
from kith.ledger.events import RequestsForgotten
from kith.ledger.limits import DAY
from kith.messaging import store
from kith.messaging.flows import inviting
from kith.messaging.flows.requests import expire
from kith.messaging.limits import DEFAULTS, Limits

MOST = 100
"""Rows that one flow deals with: well under a millisecond."""


def sweep(tx: Tx, limits: Limits = DEFAULTS) -> bool:
    """One bounded piece of everything that comes often; True when there may be more."""
    expired = [expire(tx, limits, MOST) == MOST, inviting.expire(tx, limits, MOST) == MOST]
    # What a mail that still waits is proven by stays until it is swept itself, also in a backlog of many pieces.
    post = _old_mail(tx, limits) or _old_batches(tx, limits)
    return any([*expired, post, _old_envelopes(tx, limits)])


def _old_mail(tx: Tx, limits: Limits) -> bool:
    before = tx.now - limits.mail_life_ms
    bodies = [row for row in tx.all(store.OLDEST_BODIES, most=MOST) if row.at_ms < before]
    for row in bodies:
        place = {"id": row.room, "pos": row.room_pos, "what": row.kind}
        tx.run(store.MAILS_GONE, **place)
        tx.run(store.BODY_GONE, **place)
    rosters = tx.all(store.OLD_ROSTERS, before=before, most=MOST)
    for row in rosters:
        tx.run(store.MAIL_GONE, whose=row.device, which=row.mail)
    return MOST in (len(bodies), len(rosters))


def _old_envelopes(tx: Tx, limits: Limits) -> bool:
    before = tx.now - limits.envelope_life_ms
    old = [row for row in tx.all(store.OLDEST_ENVELOPES, most=MOST) if row.at_ms < before]
    for row in old:
        tx.run(store.ENVELOPE_GONE, which=row.envelope)
    return len(old) == MOST


def _old_batches(tx: Tx, limits: Limits) -> bool:
    """Their bodies went a day before, with the mail; answers of that age are not given again."""
    before = tx.now - limits.mail_life_ms - 2 * DAY
    old = [row for row in tx.all(store.OLDEST_BATCHES, most=MOST) if row.at_ms < before]
    for row in old:
        tx.run(store.BATCH_GONE, which=row.batch)
    return len(old) == MOST


def forget(tx: Tx, limits: Limits = DEFAULTS) -> None:
    """Once a day: what is past its retention, and operational rows that no longer serve."""
    requests_before = tx.now - limits.request_life_ms - limits.requests_kept_ms
    memberships_before = tx.now - limits.membership_kept_ms
    tx.append(RequestsForgotten(requests_before_ms=requests_before, memberships_before_ms=memberships_before))
    tx.run(store.FORGET_WORDS)
    tx.run(store.FORGET_INVITATION_WORDS)
    tx.run(store.GROUP_LINKS_OLD, before=tx.now)
    tx.run(store.JOINS_OLD, before=tx.now - DAY)
    tx.run(store.REFUSALS_OLD, before=tx.now - DAY)
    tx.run(store.INVITES_OLD, before=tx.now)
    tx.run(store.PACKAGES_EXPIRED, now=tx.now)
    tx.run(store.GRANTS_OLD, before=tx.now - 2 * DAY)

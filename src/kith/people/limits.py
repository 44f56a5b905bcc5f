"""The numbers of this room, each with its unit and reason; `docs/limits.md` is generated from them."""

# ruff: noqa: RUF009 - `limit` and `rate` make dataclass fields

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, NamedTuple

from kith.ledger.limits import DAY, HOUR, MINUTE, SECOND, limit


class Rate(NamedTuple):
    """A token bucket: how many at once, and how long one takes to come back."""

    size: int
    refill_ms: int


def rate(size: int, refill_ms: int, because: str) -> Any:  # noqa: ANN401  a dataclass field
    """A tunable token bucket."""
    return field(default=Rate(size, refill_ms), metadata={"unit": "at once, ms for one more", "because": because})


@dataclass(frozen=True, slots=True, kw_only=True)
class Limits:
    """What a deployment may tune about accounts; every default is safe for a community of some thousands."""

    ticket_ms: int = limit(HOUR, "ms", "time to choose a handle and a password after stating an age")
    wait_ms: int = limit(DAY, "ms", "a device that stated an age under 13 gets no second try before (minors' rule 2)")
    sign_in_kept_ms: int = limit(90 * DAY, "ms", "sign-in addresses serve takeover defence; the privacy page says 90 d")
    idle_device_ms: int = limit(180 * DAY, "ms", "a device unseen for half a year is signed out")
    known_device_ms: int = limit(
        180 * DAY, "ms", "a device on which somebody signed in so lately has tries of its own while others guess"
    )
    reset_ms: int = limit(HOUR, "ms", "new identity keys replace the recovery code: a stolen session must not do that")
    appeal_ms: int = limit(20 * DAY, "ms", "how long a measure may be appealed")
    warning_ms: int = limit(30 * DAY, "ms", "a warning stands among current measures for a month, then in history")
    climb_ms: int = limit(90 * DAY, "ms", "measures of this long count when the next rung of the ladder is chosen")
    rung_daily: int = limit(3, "conversations", "new conversations a day on the ladder's second rung")
    rung_daily_ms: int = limit(7 * DAY, "ms", "term of the second rung")
    rung_pause_ms: int = limit(14 * DAY, "ms", "term of the third rung: no new conversations")
    rung_suspended_ms: int = limit(30 * DAY, "ms", "term of the fourth rung; the fifth lasts until reversed")
    devices: int = limit(10, "devices", "live devices of one account; each is a leaf in every room")
    link_ms: int = limit(10 * MINUTE, "ms", "time to approve a new device from another one; then it shows a new code")
    log_idle_ms: int = limit(30 * MINUTE, "ms", "the key log says at least so often that it is up to date")
    log_checks: int = limit(32, "entries", "key-log entries proven in one answer")
    hashing_threads: int = limit(2, "threads", "passwords hashed at once; each takes 19 MiB")
    hashing_queue: int = limit(64, "hashes", "waiting password hashes before people are asked to come back")

    age_global: Rate = rate(600, 200, "age questions from everywhere")
    age_address: Rate = rate(60, 30 * SECOND, "age questions from one address; a school shares one")
    sign_up_global: Rate = rate(300, SECOND, "new accounts from everywhere")
    sign_up_address: Rate = rate(60, MINUTE, "new accounts and taken handles from one address")
    sign_in_global: Rate = rate(1200, 100, "sign-ins from everywhere; bounds password spraying")
    sign_in_address: Rate = rate(60, 10 * SECOND, "sign-ins from one address")
    sign_in_handle: Rate = rate(60, MINUTE, "sign-ins at one handle from everywhere")
    sign_in_pair: Rate = rate(
        10, MINUTE, "sign-ins at one handle from one address; lets the owner in while others guess"
    )
    known_devices_handle: Rate = rate(60, MINUTE, "tries at one handle on all devices it was signed in on, by each way")
    recovery_global: Rate = rate(300, SECOND, "recoveries from everywhere")
    recovery_address: Rate = rate(20, MINUTE, "recoveries from one address")
    recovery_handle: Rate = rate(10, 6 * MINUTE, "recoveries of one handle")
    password: Rate = rate(10, MINUTE, "password changes tried by one account")
    export: Rate = rate(5, 30 * MINUTE, "exports by one account; each walks the whole ledger")
    link: Rate = rate(20, 30 * SECOND, "codes shown and devices approved by one account")
    log_address: Rate = rate(300, SECOND, "questions to the public key log from one address")
    log_account: Rate = rate(300, SECOND, "proofs from the key log for one account; each reads some hundred rows")
    profile: Rate = rate(30, MINUTE, "profile, control and device changes by one account")
    group: Rate = rate(120, 5 * SECOND, "changes of groups by one account; each is an event and a mail to every device")
    block: Rate = rate(100, 10 * SECOND, "blocks by one account; never in the way of somebody whom a crowd is after")
    hush: Rate = rate(100, 10 * SECOND, "people restricted by one account; as for blocks")


DEFAULT = Limits()

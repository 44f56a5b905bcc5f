"""Take in an event, judge an account, show and put away notices: load facts, decide, append."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Literal, NamedTuple

import msgspec

from kith.ledger.database import Reader, Row, Tx, decode_json
from kith.ledger.events import NoticeDismissed, NoticesForgotten, NoticeWithdrawn, RuleFired
from kith.ledger.signals import Changed
from kith.people import enforcement, facts
from kith.people.standing import Measure
from kith.safety import notices, store
from kith.safety.effects import Consequences, Live, Simulated
from kith.safety.features import Features, State, features_of, settles_ms
from kith.safety.limits import DEFAULT, Limits
from kith.safety.rules import RULE_IDS, Effect, Rule, rules

Mode = Literal["shadow", "live"]
Modes = Mapping[str, Mode]
"""Mode by rule id; a rule that is not named runs in shadow."""

LOOKED_AT_ONCE = 100
"""Accounts judged in one flow of `look_again`; a flow stays short."""


class Notice(msgspec.Struct, frozen=True):
    """A safety notice as a person sees it (docs/api.md)."""

    id: str
    rule: str
    about: str | None
    text: str
    since_ms: int


class Rows:
    """The features' memory in the database."""

    def __init__(self, tx: Tx, limits: Limits = DEFAULT) -> None:
        self._tx = tx
        self._limits = limits

    def recall(self, account: str) -> State:
        """The stored state, or an empty one."""
        found = self._tx.value(store.STATE, id=account)
        return State() if found is None else decode_json(found, State)

    def remember(self, account: str, state: State) -> None:
        """Store it, with the time at which silence settles."""
        written, look = msgspec.json.encode(state).decode(), settles_ms(state, self._limits)
        if self._tx.value(store.STATE, id=account) is None:
            self._tx.put(store.states, account=account, state=written, touched_ms=self._tx.now, look_ms=look)
        else:
            self._tx.run(store.STATE_SET, id=account, new_state=written, now=self._tx.now, look=look)

    def open_room(self, room: str, requester: str, target: str) -> None:
        """Wait for the target's first message; a room that ended and began again waits anew."""
        self._tx.run(store.ROOM_TAKEN, id=room, writer=target)
        self._tx.put(store.rooms, room=room, requester=requester, target=target, at_ms=self._tx.now)

    def take_room(self, room: str, writer: str) -> str | None:
        """Whose first contact this message answers."""
        requester: str | None = self._tx.value(store.ROOM, id=room, writer=writer)
        if requester is not None:
            self._tx.run(store.ROOM_TAKEN, id=room, writer=writer)
        return requester


class Standing(NamedTuple):
    """What rules have already done to an account."""

    limited_since: int | None
    """When a limit by a rule that is still in force was imposed (ms)."""
    reversed_lately: bool
    """People took such a limit back; a manual decision outranks an automatic one."""


def standing_of(reader: Reader, account: str, limits: Limits = DEFAULT) -> Standing:
    """Limits that rules imposed on the account."""
    own = _measures_by_rules(reader, account)
    return Standing(
        limited_since=max((measure.since_ms for measure in own if measure.holds(reader.now)), default=None),
        reversed_lately=any(
            measure.reversed_ms is not None and reader.now - measure.reversed_ms < limits.respect_reversal_ms
            for measure in own
        ),
    )


def _measures_by_rules(reader: Reader, account: str) -> list[Measure]:
    return [measure for measure in enforcement.measures_of(reader, account) if measure.rule in RULE_IDS]


class Judged(NamedTuple):
    """An account as the rules see it now."""

    account: str
    state: State
    features: Features
    standing: Standing


def judge(tx: Tx, account: str, modes: Modes, limits: Limits = DEFAULT) -> None:
    """Ask every rule about an account and hand those that hold to their consequence provider."""
    if facts.load(tx, account) is None:  # the account was deleted meanwhile
        return
    state, standing = Rows(tx, limits).recall(account), standing_of(tx, account, limits)
    judged = Judged(account, state, features_of(state, tx.now, standing.limited_since, limits), standing)
    for rule in rules(limits):
        if rule.holds(judged.features) and not _fired_lately(tx, rule, account, limits):
            _fire(tx, rule, judged, Live(limits) if modes.get(rule.id) == "live" else Simulated())


def _fired_lately(tx: Tx, rule: Rule, account: str, limits: Limits) -> bool:
    at = tx.value(store.FIRING, which=rule.id, whom=account)
    return at is not None and tx.now - at < limits.fire_again_ms


def _effects(rule: Rule, standing: Standing) -> tuple[Effect, ...]:
    """What still makes sense: no second limit while one holds, nothing automatic after people took one back."""
    if standing.reversed_lately:
        return tuple(effect for effect in rule.effects if effect == "case")
    if standing.limited_since is not None:
        return tuple(effect for effect in rule.effects if effect != "friction")
    return rule.effects


def _fire(tx: Tx, rule: Rule, judged: Judged, provider: Consequences) -> None:
    effects = _effects(rule, judged.standing)
    tx.append(
        RuleFired(
            rule=rule.id,
            account=judged.account,
            live=not provider.is_simulated,
            features=judged.features.known(),
            effects=effects,
        )
    )
    if "friction" in effects:
        provider.friction(tx, rule, judged.account, judged.features)
    if "notices" in effects:
        for person in _approached(judged.state):
            provider.notice(tx, rule.id, person, judged.account)
    if "case" in effects:
        provider.case(tx, rule, judged.account, judged.features)


def _approached(state: State) -> list[str]:
    """Those with whom the contact is still open or was accepted; who said no needs no notice."""
    open_ = {contact.target: None for contact in state.contacts if contact.answer in ("", "accepted")}
    return [person for person in open_ if person is not None]


def warn_newly_approached(tx: Tx, account: str, person: str, limits: Limits = DEFAULT) -> None:
    """While a rule's limit is in force, those approached later get the same notice as those before."""
    for measure in _measures_by_rules(tx, account):
        if measure.rule in notices.TEXTS and measure.holds(tx.now):
            Live(limits).notice(tx, measure.rule, person, account)
            return


def withdraw_with(tx: Tx, measure: str) -> None:
    """A rule's limit was taken back: the notices that rested on the same rule go with it."""
    found = enforcement.measure_of(tx, measure)
    if found is None or found[1].rule not in RULE_IDS:
        return
    account, taken_back = found
    for row in tx.all(store.OPEN_ABOUT, whom=account, which=taken_back.rule):
        tx.append(NoticeWithdrawn(notice=row.notice, to=row.shown_to))
        tx.publish(Changed(row.shown_to, "notices"))


def look_again(tx: Tx, modes: Modes, limits: Limits = DEFAULT) -> int:
    """Judge accounts whose silence has become an answer since the last look; returns how many."""
    due = tx.all(store.STATES_DUE, now=tx.now, most=LOOKED_AT_ONCE)
    for row in due:
        tx.run(store.STATE_LOOKED, id=row.account)
        judge(tx, row.account, modes, limits)
    return len(due)


def forget_old(tx: Tx, limits: Limits = DEFAULT) -> None:
    """Retention of behavioural features, notices and firings."""
    before = tx.now - limits.state_kept_ms
    tx.run(store.STATES_OLD, before=before)
    tx.run(store.ROOMS_OLD, before=before)
    oldest = [tx.value(store.OLDEST_NOTICE), tx.value(store.OLDEST_FIRING)]
    if any(at is not None and at <= before for at in oldest):
        tx.append(NoticesForgotten(before_ms=before))


def notices_of(reader: Reader, person: str) -> list[Notice]:
    """Every notice that stands before a person, newest first."""
    return [_notice(row) for row in reader.all(store.NOTICES_OF, reader_=person)]


def notice_for(reader: Reader, person: str, about: str) -> Notice | None:
    """The one notice that a person sees beside an account's request or chat."""
    row = reader.one(store.NOTICE_ABOUT, reader_=person, whom=about)
    return None if row is None else _notice(row)


def dismiss(tx: Tx, person: str, notice: str) -> bool:
    """Put a notice away for good; False when this person has no such notice."""
    row = tx.one(store.NOTICE, id=notice)
    if row is None or row.shown_to != person:
        return False
    if row.dismissed_ms is None:
        tx.append(NoticeDismissed(notice=notice, to=person))
    return True


def _notice(row: Row) -> Notice:
    return Notice(id=row.notice, rule=row.rule, about=row.about, text=notices.TEXTS[row.rule], since_ms=row.shown_ms)

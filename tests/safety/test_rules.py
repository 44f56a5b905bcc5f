"""Rules: truth tables, what they lead to, and whom they must leave alone."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import select

from kith.ledger.database import Database, Reader
from kith.ledger.events import (
    Blocked,
    CaseProposed,
    Event,
    MeasureImposed,
    NoticesForgotten,
    NoticeShown,
    NoticeWithdrawn,
    RequestSent,
    RuleFired,
)
from kith.ledger.limits import DAY, HOUR
from kith.ledger.log import replay
from kith.people import enforcement
from kith.safety import flows, store
from kith.safety.features import Features
from kith.safety.limits import DEFAULT
from kith.safety.notices import TEXTS, may_show
from kith.safety.rules import GOES_ON, MANY_UNANSWERED, Condition, documented, rules
from safety.town import NOON, Town

MANY = DEFAULT.many_first_contacts
BANNED_WORDS = ("suspicious", "danger", "unsafe", "violation", "!", "scam", "predator", "spam")
ORDINARY = Features(
    first_contacts_1d=MANY,
    reached_7d=MANY,
    unreached_7d=0,
    settled_7d=MANY,
    accepted_share=0.1,
    replied_share=0.0,
    account_age_ms=DAY,
    gate_refusals_7d=0,
    contacts_since_limit=None,
    accepted_share_since_limit=None,
)
RULE = rules()[0]


@pytest.mark.parametrize(
    ("change", "holds"),
    [
        ({}, True),
        ({"first_contacts_1d": MANY - 1}, False),
        ({"accepted_share": 0.2}, False),
        ({"accepted_share": 0.199}, True),
        ({"account_age_ms": 14 * DAY}, False),
        ({"account_age_ms": 14 * DAY - 1}, True),
        ({"accepted_share": None}, None),
        ({"account_age_ms": None}, None),
        ({"account_age_ms": None, "first_contacts_1d": 0}, None),
    ],
)
def test_a_rule_is_true_false_or_not_evaluable(change: dict[str, Any], *, holds: bool | None) -> None:
    """A missing fact makes the whole rule None, whatever the others say."""
    assert RULE.holds(ORDINARY._replace(**change)) is holds


@pytest.mark.parametrize(("value", "answer"), [(None, None), (5, True), (4, False)])
def test_a_condition_passes_a_missing_fact_on(value: int | None, *, answer: bool | None) -> None:
    """Never False, never True."""
    condition = Condition("contacts_since_limit", "at least", 5)
    assert condition.holds(ORDINARY._replace(contacts_since_limit=value)) is answer


def test_every_rule_is_documented_with_a_test_that_exists() -> None:
    """The generated table cannot name a test that is not here."""
    here = globals()
    assert [row["id"] for row in documented()] == [MANY_UNANSWERED, GOES_ON]
    for row in documented():
        assert row["test"] in here
        assert row["description"]
        assert row["thresholds"]


def write_to_many(town: Town, account: str, number: int, *, yes: int = 0, no: int = 0) -> list[RequestSent]:
    """First contacts, of which some are accepted, some declined and the rest met with silence."""
    requests = []
    for index in range(number):
        request = town.ask(account, f"{account}-friend-{index}")
        requests.append(request)
        if index < yes:
            town.reply(town.accept(request))
        elif index < yes + no:
            town.decline(request)
    return requests


def measures(town: Town, account: str) -> list[str]:
    """What stands against an account."""
    return [m.what for m in town.database.read_now(enforcement.measures_of, account)]


def test_many_first_contacts_with_few_accepted_from_a_young_account_fire(town: Town) -> None:
    """Friction with a reason, and a fact for those who might still answer; who declined needs none."""
    town.settle("mallory", days_ago=2)
    write_to_many(town, "mallory", MANY - 1, yes=1, no=DEFAULT.fewest_settled)
    assert measures(town, "mallory") == []
    town.ask("mallory", "the-twelfth")
    assert measures(town, "mallory") == ["daily_limit"]
    fired = [event for event in town.events(RuleFired) if isinstance(event, RuleFired)]
    assert [(event.rule, event.live, event.effects) for event in fired] == [
        (MANY_UNANSWERED, True, ("friction", "notices"))
    ]
    imposed = town.events(MeasureImposed)[0]
    assert isinstance(imposed, MeasureImposed)
    assert (imposed.what, imposed.limit, imposed.source) == ("daily_limit", 3, f"rule:{MANY_UNANSWERED}")
    assert imposed.until_ms == town.now + DEFAULT.friction_ms
    told = {event.to for event in town.events(NoticeShown) if isinstance(event, NoticeShown)}
    assert told == {"mallory-friend-0", "mallory-friend-9", "mallory-friend-10", "the-twelfth"}


def test_silence_settles_and_the_rule_looks_again_without_a_further_act(town: Town) -> None:
    """Somebody who writes to many at once and then waits is noticed when the answers fail to come."""
    town.settle("mallory")
    write_to_many(town, "mallory", MANY)
    town.now += DEFAULT.patience_ms - 1
    assert town.database.write_now(flows.look_again, {MANY_UNANSWERED: "live"}) == 0
    town.now += 1
    assert town.database.write_now(flows.look_again, {MANY_UNANSWERED: "live"}) == 1
    assert measures(town, "mallory") == ["daily_limit"]
    assert town.database.write_now(flows.look_again, {MANY_UNANSWERED: "live"}) == 0


def test_in_shadow_a_rule_says_what_it_would_have_done_and_nothing_else(shadow_town: Town) -> None:
    """The same acts as above: one record, no measure, no notice, no case."""
    shadow_town.settle("mallory", days_ago=2)
    write_to_many(shadow_town, "mallory", MANY + 1, no=DEFAULT.fewest_settled + 1)
    before: tuple[type[Event], ...] = (MeasureImposed, NoticeShown, CaseProposed)
    assert [len(shadow_town.events(kind)) for kind in before] == [0, 0, 0]
    fired = [event for event in shadow_town.events(RuleFired) if isinstance(event, RuleFired)]
    assert [(event.live, event.effects) for event in fired] == [(False, ("friction", "notices"))]
    assert shadow_town.database.read_now(flows.notices_of, "mallory-friend-9") == []


@pytest.mark.parametrize(
    ("who", "days_ago", "number", "yes", "no"),
    [
        ("a club secretary whose members accept", 1, 20, 16, 1),
        ("a newcomer importing her friends on the first day", 0, 20, 12, 0),
        ("an organiser with mixed luck", 3, 20, 5, 6),
        ("an old account that writes to many", 14, 20, 0, 12),
        ("a quiet person whom nobody answers", 1, 11, 0, 11),
    ],
)
def test_ordinary_people_are_left_alone(  # the columns of the table
    town: Town, who: str, days_ago: int, number: int, *, yes: int, no: int
) -> None:
    """Hard negatives, each judged at every step and again once silence has settled."""
    town.settle(who, days_ago=days_ago)
    write_to_many(town, who, number, yes=yes, no=no)
    town.now += DEFAULT.patience_ms
    town.database.write_now(flows.look_again, {MANY_UNANSWERED: "live", GOES_ON: "live"})
    assert town.events(RuleFired) == []
    assert measures(town, who) == []


def limited(town: Town, account: str = "mallory") -> None:
    """An account that a rule has limited."""
    town.settle(account)
    write_to_many(town, account, MANY, no=MANY)
    assert measures(town, account) == ["daily_limit"]


def test_going_on_after_the_limit_asks_people_to_look(town: Town) -> None:
    """Day after day the whole allowance, nobody says yes: a case, and no further measure by itself."""
    limited(town)
    for _ in range(2):
        town.now += DAY
        for number in range(DEFAULT.friction_requests_per_day):
            town.decline(town.ask("mallory", f"day-{town.now}-{number}"))
    proposed = [event for event in town.events(CaseProposed) if isinstance(event, CaseProposed)]
    assert [(event.account, event.rule) for event in proposed] == [("mallory", GOES_ON)]
    assert measures(town, "mallory") == ["daily_limit"]


def test_a_limited_account_that_behaves_well_brings_no_case(town: Town) -> None:
    """The control: those it writes to afterwards accept."""
    limited(town)
    for _ in range(2):
        town.now += DAY
        for number in range(DEFAULT.friction_requests_per_day):
            town.accept(town.ask("mallory", f"day-{town.now}-{number}"))
    assert town.events(CaseProposed) == []


def test_a_rule_fires_once_a_day_and_never_limits_twice(town: Town) -> None:
    """More firings say nothing new, and a limit in force is enough."""
    limited(town)
    town.now += 1
    write_to_many(town, "mallory", 6, no=6)
    assert [getattr(event, "rule", "") for event in town.events(RuleFired)] == [MANY_UNANSWERED, GOES_ON]
    town.now += DEFAULT.fire_again_ms
    write_to_many(town, "mallory", MANY, no=MANY)
    assert len(town.events(MeasureImposed)) == 1


def test_those_approached_while_limited_are_told_too(town: Town) -> None:
    """The notice stands at the moment of decision, not only for those who came first."""
    limited(town)
    town.now += HOUR
    town.ask("mallory", "new-target")
    notice = town.database.read_now(flows.notice_for, "new-target", "mallory")
    assert notice is not None
    assert notice.about == "mallory"


def test_a_reversed_limit_takes_its_notices_along_and_is_not_imposed_again(town: Town) -> None:
    """What people decided outranks what a rule thinks."""
    limited(town)
    town.ask("mallory", "bystander")
    assert town.database.read_now(flows.notice_for, "bystander", "mallory") is not None
    shown = len(town.events(NoticeShown))
    measure = town.events(MeasureImposed)[0]
    assert isinstance(measure, MeasureImposed)
    town.database.write_now(enforcement.reverse, measure.measure, "overturned on appeal")
    town.happen()
    assert town.database.read_now(flows.notice_for, "bystander", "mallory") is None
    assert len(town.events(NoticeWithdrawn)) == 1
    town.now += DEFAULT.fire_again_ms
    write_to_many(town, "mallory", MANY, no=MANY)
    assert [m.holds(town.now) for m in town.database.read_now(enforcement.measures_of, "mallory")] == [False]
    assert len(town.events(NoticeShown)) == shown


def test_the_same_events_lead_to_the_same_firings(town: Town, shadow_town: Town) -> None:
    """Deterministic: no clock, no chance; shadow and live agree on when a rule holds."""
    for place in (town, shadow_town):
        place.settle("mallory", days_ago=1)
        write_to_many(place, "mallory", MANY, yes=1, no=9)
    one, other = (
        [(event.rule, event.features) for event in place.events(RuleFired) if isinstance(event, RuleFired)]
        for place in (town, shadow_town)
    )
    assert one == other
    assert len(one) == 1


@pytest.mark.parametrize(
    ("shown_ms", "dismissed", "allowed"),
    [
        (None, False, True),
        (NOON - 7 * DAY, False, True),
        (NOON - 7 * DAY + 1, False, False),
        (NOON, False, False),
        (NOON - 30 * DAY, True, False),
    ],
)
def test_a_notice_is_not_shown_twice_in_seven_days_nor_after_being_put_away(
    shown_ms: int | None, *, dismissed: bool, allowed: bool
) -> None:
    """Warning again and again teaches people not to read."""
    assert may_show(shown_ms=shown_ms, dismissed=dismissed, now=NOON).allowed is allowed


def test_notices_are_short_facts_without_a_verdict() -> None:
    """At most 25 words, none of the words that accuse or alarm, and every rule that shows one has one."""
    assert {rule.id for rule in rules() if "notices" in rule.effects} == set(TEXTS)
    for text in TEXTS.values():
        assert len(text.split()) <= 25
        assert not any(word in text.lower() for word in BANNED_WORDS)


def test_reasons_for_the_person_are_short_facts_too() -> None:
    """What happened, and what still works; nothing about anybody else."""
    for rule in rules():
        if "friction" in rule.effects:
            assert len(rule.because.split()) <= 25
            assert not any(word in rule.because.lower() for word in BANNED_WORDS)


def test_a_put_away_notice_stays_away_and_only_its_reader_may_put_it_away(town: Town) -> None:
    """Dismissal is remembered; another person's attempt finds nothing."""
    limited(town)
    town.ask("mallory", "bystander")
    notice = town.database.read_now(flows.notices_of, "bystander")[0]
    assert not town.database.write_now(flows.dismiss, "mallory", notice.id)
    assert not town.database.write_now(flows.dismiss, "bystander", "no-such-notice")
    assert town.database.write_now(flows.dismiss, "bystander", notice.id)
    assert town.database.write_now(flows.dismiss, "bystander", notice.id)
    assert town.database.read_now(flows.notices_of, "bystander") == []
    town.now += 8 * DAY
    write_to_many(town, "mallory", MANY, no=MANY)
    town.ask("mallory", "bystander")
    assert town.database.read_now(flows.notices_of, "bystander") == []


def test_a_notice_is_over_when_the_person_has_decided(town: Town) -> None:
    """Declining or blocking answers the question that the notice was about."""
    limited(town)
    declined, blocked = town.ask("mallory", "decliner"), town.ask("mallory", "blocker")
    assert len(town.database.read_now(flows.notices_of, "decliner")) == 1
    town.decline(declined)
    town.happen(Blocked(by="blocker", account="mallory"))
    assert town.database.read_now(flows.notices_of, "decliner") == []
    assert town.database.read_now(flows.notices_of, str(blocked.target)) == []


def test_a_block_by_a_stranger_says_nothing_about_first_contacts(town: Town) -> None:
    """Brigades block too; only the block of somebody approached is an answer."""
    town.settle("ann")
    requests = write_to_many(town, "ann", MANY)
    for request in requests:
        town.accept(request)
    town.happen(*(Blocked(by=f"stranger-{number}", account="ann") for number in range(30)))
    assert town.events(RuleFired) == []


def test_old_notices_and_firings_are_forgotten_and_a_replay_agrees(town: Town, tmp_path: Path) -> None:
    """Not early, not late; the projections of a replay are the live ones."""
    limited(town)
    town.now += 1
    town.ask("mallory", "bystander")
    town.database.write_now(flows.dismiss, "bystander", town.database.read_now(flows.notices_of, "bystander")[0].id)

    def rows(reader: Reader) -> list[object]:
        return [*reader.all(select(store.notices)), *reader.all(select(store.firings))]

    town.now += DEFAULT.state_kept_ms - 2
    town.database.write_now(flows.forget_old)
    assert len(town.database.read_now(rows)) == 3
    town.now += 1
    town.database.write_now(flows.forget_old)
    assert len(town.database.read_now(rows)) == 1
    again = Database(tmp_path / "again.db", town.database.projectors)
    again.create_tables()
    replay(town.database, again)
    assert again.read_now(rows) == town.database.read_now(rows)
    again.close_now()
    town.now += 1
    town.database.write_now(flows.forget_old)
    town.database.write_now(flows.forget_old)
    assert town.database.read_now(rows) == []
    assert len(town.events(NoticesForgotten)) == 2


def kept(town: Town) -> list[int]:
    """How many states and open rooms are stored."""

    def count(reader: Reader) -> list[int]:
        return [len(reader.all(select(table))) for table in (store.states, store.rooms)]

    return town.database.read_now(count)


def test_old_behaviour_is_forgotten(town: Town) -> None:
    """Retention: not early, not late."""
    town.settle("ann")
    town.accept(town.ask("ann", "x"))
    town.now += DEFAULT.state_kept_ms - 1
    town.database.write_now(flows.forget_old)
    assert kept(town) == [1, 1]
    town.now += 1
    town.database.write_now(flows.forget_old)
    assert kept(town) == [0, 0]

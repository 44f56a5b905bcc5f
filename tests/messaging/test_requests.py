"""First contact on a real database: requests, invites, answers, and what each side may see of them."""

from __future__ import annotations

from typing import Any

import pytest

from kith.ledger.events import (
    BandChanged,
    ControlsChanged,
    DecisionMade,
    RequestAccepted,
    RequestCancelled,
    RequestExpired,
    RequestSent,
    RoomCreated,
)
from kith.ledger.limits import DAY
from kith.messaging import facts
from kith.messaging.flows import requests
from kith.messaging.flows.requests import Connected, Sent
from kith.messaging.outcomes import ABSENT, Refusal
from kith.messaging.routes import RequestLists, _lists
from kith.people import blocks, connections, enforcement
from kith.people.ladder import Step
from messaging.town import Town


def lists(town: Town, account: str) -> RequestLists:
    """What GET /requests shows."""
    shown: RequestLists = town.ask(_lists, account, lambda *_: None)
    return shown


def restrict(town: Town, account: str, what: Any) -> str:
    """A measure of the ladder."""
    step = Step(what=what, limit=3 if what == "daily_limit" else None)
    measure: str = town.do(
        enforcement.impose, account, step, rule="test", because="A test.", source="rule:test", facts={}
    )
    return measure


def test_a_yes_connects_two_people_in_one_room(town: Town) -> None:
    """The request shows the public minimum, and a yes makes connection and room."""
    ana, ben = town.person("ana"), town.person("ben")
    sent = town.request(ana, " Ben ")
    [received] = lists(town, ben).received
    assert (received.account, received.handle, received.display_name) == (ana, "ana", "Ana")
    assert lists(town, ana).sent[0].state == "sent"
    yes = town.do(requests.accept, ben, received.request)
    assert yes == Connected(ana, facts_room(town, ana, ben))
    assert town.ask(connections.connected, ana, ben)
    [mine] = lists(town, ana).sent
    assert (mine.request, mine.to, mine.state, mine.account, mine.room) == (
        sent.request,
        "ben",
        "accepted",
        ben,
        yes.room,
    )
    assert lists(town, ben).received == []


def facts_room(town: Town, one: str, other: str) -> Any:
    """Their room."""
    return town.ask(facts.room_between, one, other)


def test_a_no_is_silent_and_holds_for_90_days(town: Town) -> None:
    """The requester sees "sent"; asking again, also after taking back, reaches nobody until then."""
    ana, ben = town.person("ana"), town.person("ben")
    first = town.request(ana, "ben")
    before = lists(town, ana)
    assert town.do(requests.decline, ben, first.request) is None
    assert lists(town, ana) == before
    assert town.do(requests.cancel, ana, first.request) is None
    town.request(ana, "ben")
    assert lists(town, ben).received == []
    town.clock.now += 91 * DAY
    town.request(ana, "ben")
    assert len(lists(town, ben).received) == 1


def test_two_who_ask_each_other_are_connected(town: Town) -> None:
    """Crossed requests need no further yes; both show as accepted."""
    ana, ben = town.person("ana"), town.person("ben")
    town.request(ana, "ben")
    town.request(ben, "ana")
    assert town.ask(connections.connected, ana, ben)
    assert [lists(town, who).sent[0].state for who in (ana, ben)] == ["accepted", "accepted"]
    assert len(town.events(RequestAccepted)) == 2
    assert len(town.events(RoomCreated)) == 1


def test_the_room_of_two_people_is_used_again(town: Town) -> None:
    """Block, unblock, ask and accept lead back to the same room."""
    ana, ben = town.person("ana"), town.person("ben")
    room = town.connect(ana, ben)
    town.do(blocks.block, ana, ben)
    town.do(blocks.unblock, ana, ben)
    assert not town.ask(connections.connected, ana, ben)
    town.request(ana, "ben")
    town.request(ben, "ana")
    assert facts_room(town, ana, ben) == room
    assert len(town.events(RoomCreated)) == 1


@pytest.mark.parametrize("band", ["13-15", "16-17", "unknown"])
def test_an_adult_does_not_reach_a_minor(town: Town, band: str) -> None:
    """The answer is "sent"; the minor never hears of it, not even after her own request."""
    ana, kim = town.person("ana"), town.person("kim", band)
    assert isinstance(town.request(ana, "kim"), Sent)
    assert lists(town, kim).received == []
    town.request(kim, "ana")
    assert not town.ask(connections.connected, ana, kim)
    town.request(ana, "kim")
    assert not town.ask(connections.connected, ana, kim)
    [received] = lists(town, ana).received
    assert isinstance(town.do(requests.accept, ana, received.request), Connected)


def test_a_minors_invite_lets_one_request_through_to_her_own_yes(town: Town) -> None:
    """The opener asks, the minor confirms; the invite works once."""
    ana, eve, kim = town.person("ana"), town.person("eve"), town.person("kim", "13-15")
    invite = town.do(requests.invite, kim)
    assert isinstance(town.do(requests.ask, ana, token=invite.token), Sent)
    assert not town.ask(connections.connected, ana, kim)
    assert isinstance(town.do(requests.ask, eve, token=invite.token), Sent)
    [received] = lists(town, kim).received
    assert received.account == ana
    assert isinstance(town.do(requests.accept, kim, received.request), Connected)


def test_an_invite_expires_and_is_stored_only_as_a_hash(town: Town) -> None:
    """After a week it is nobody's; its token stands nowhere."""
    ana, ben = town.person("ana"), town.person("ben")
    invite = town.do(requests.invite, ben)
    rows = [
        dict(zip(("hash", "account"), row, strict=True))
        for row in _raw(town, "SELECT token_hash, account FROM invites")
    ]
    assert rows == [{"hash": requests.hash_of(invite.token), "account": ben}]
    town.clock.now = invite.expires_ms
    assert isinstance(town.do(requests.ask, ana, token=invite.token), Sent)
    assert lists(town, ben).received == []


def _raw(town: Town, sql: str) -> list[Any]:
    return list(town.database._writer.execute(sql))


def test_a_blocked_opener_does_not_use_an_invite_up(town: Town) -> None:
    """It still works for somebody else."""
    ana, ben, eve = town.person("ana"), town.person("ben"), town.person("eve")
    invite = town.do(requests.invite, ben)
    town.do(blocks.block, ben, eve)
    town.do(requests.ask, eve, token=invite.token)
    town.do(requests.ask, ana, token=invite.token)
    assert [received.account for received in lists(town, ben).received] == [ana]


def test_asking_again_replaces_the_request(town: Town) -> None:
    """One row for each side, whether it reached somebody or not."""
    ana, ben = town.person("ana"), town.person("ben")
    for handle in ("ben", "nobody.here"):
        town.request(ana, handle)
        again = town.request(ana, handle.upper())
        assert [sent.request for sent in lists(town, ana).sent if sent.to == handle] == [again.request]
    assert len(lists(town, ben).received) == 1
    assert len(town.events(RequestCancelled)) == 2


def test_a_block_ends_what_is_pending_in_both_directions(town: Town) -> None:
    """In the transaction of the block; neither side can accept any more, and the requester sees "sent"."""
    ana, ben = town.person("ana"), town.person("ben")
    sent = town.request(ana, "ben")
    before = lists(town, ana)
    town.do(blocks.block, ben, ana)
    assert town.do(requests.accept, ben, sent.request) == ABSENT
    assert lists(town, ben).received == []
    assert lists(town, ana) == before
    town.do(blocks.unblock, ben, ana)
    assert town.do(requests.accept, ben, sent.request) == ABSENT


def test_an_age_corrected_after_the_request_is_seen_at_the_yes(town: Town) -> None:
    """Between the correction and the yes nothing else needs to happen; the list no longer shows it."""
    ana, kim = town.person("ana", "16-17"), town.person("kim", "16-17")
    sent = town.request(ana, "kim")
    town.do(lambda tx: tx.append(BandChanged(account=ana, band="18+", because="review")))
    assert lists(town, kim).received == []
    assert town.do(requests.accept, kim, sent.request) == ABSENT
    assert not town.ask(connections.connected, ana, kim)
    town.react()
    assert len(town.events(RequestExpired)) == 1


def test_a_lowered_age_opens_no_door_to_minors(town: Town) -> None:
    """Somebody who says to be younger than before is protected, but judged as an adult until review."""
    eve, kim = town.person("eve"), town.person("kim", "13-15")
    town.do(lambda tx: tx.append(BandChanged(account=eve, band="13-15", because="lowered")))
    town.request(eve, "kim")
    assert lists(town, kim).received == []


def test_who_takes_no_requests_gets_none_but_can_ask(town: Town) -> None:
    """The control closes the door from outside only."""
    ana, ben = town.person("ana"), town.person("ben")
    town.do(lambda tx: tx.append(ControlsChanged(account=ben, requests="nobody")))
    town.request(ana, "ben")
    assert lists(town, ben).received == []
    town.request(ben, "ana")
    assert len(lists(town, ana).received) == 1


def test_only_the_target_answers_and_only_the_requester_takes_back(town: Town) -> None:
    """For everybody else the request does not exist; a closed one cannot be answered again."""
    ana, ben, eve = town.person("ana"), town.person("ben"), town.person("eve")
    sent = town.request(ana, "ben")
    for verb in (requests.accept, requests.decline):
        assert town.do(verb, eve, sent.request) == ABSENT
        assert town.do(verb, ana, sent.request) == ABSENT
    assert town.do(requests.cancel, ben, sent.request) == ABSENT
    assert town.do(requests.cancel, ana, sent.request) is None
    assert town.do(requests.accept, ben, sent.request) == ABSENT
    assert town.do(requests.cancel, ana, sent.request) == ABSENT


def test_requests_expire_after_30_days_whether_or_not_they_reached_anybody(town: Town) -> None:
    """Silently, on both sides."""
    ana, ben = town.person("ana"), town.person("ben")
    town.request(ana, "ben")
    town.request(ana, "nobody.here")
    town.clock.now += 30 * DAY
    assert lists(town, ana).sent == []
    assert lists(town, ben).received == []
    assert town.do(requests.expire) == 2
    assert town.do(requests.expire) == 0
    assert isinstance(town.request(ana, "ben"), Sent)
    assert len(lists(town, ben).received) == 1


def test_daily_limits_and_standing_are_told_before_anybody_is_looked_up(town: Town) -> None:
    """With a recorded decision, the same one for every try of the day."""
    ana = town.person("ana")
    restrict(town, ana, "daily_limit")
    for number in range(3):
        assert isinstance(town.request(ana, f"somebody{number}"), Sent)
    refusals = [town.request(ana, handle) for handle in ("ana", "somebody", "nobody.here")]
    assert {(refusal.code, refusal.details) for refusal in refusals} == {
        ("limited", "You've sent 3 requests today; the limit is 3 a day.")
    }
    assert len({refusal.decision for refusal in refusals}) == 1
    assert refusals[0].retry_after_ms == DAY
    town.clock.now += DAY
    assert isinstance(town.request(ana, "somebody"), Sent)


def test_who_may_not_start_conversations_is_told_why(town: Town) -> None:
    """No request, no invite; the decision explains it, and a yes to others is still possible."""
    ana, ben = town.person("ana"), town.person("ben")
    restrict(town, ana, "no_new_conversations")
    refused, no_invite = town.request(ana, "ben"), town.do(requests.invite, ana)
    assert isinstance(refused, Refusal)
    assert (refused.code, no_invite.code) == ("restricted", "restricted")
    recorded = {made.decision: made for made in town.events(DecisionMade)}
    assert recorded[refused.decision].reasons[0].rule == "standing"
    town.request(ben, "ana")
    [received] = lists(town, ana).received
    assert isinstance(town.do(requests.accept, ana, received.request), Connected)


def test_a_suspended_person_cannot_say_yes_and_is_not_reached(town: Town) -> None:
    """Her own standing is told to her; others see "sent"."""
    ana, ben = town.person("ana"), town.person("ben")
    sent = town.request(ana, "ben")
    restrict(town, ben, "suspended")
    answer = town.do(requests.accept, ben, sent.request)
    assert isinstance(answer, Refusal)
    assert answer.code == "restricted"
    assert isinstance(town.request(town.person("cem"), "ben"), Sent)
    assert town.events(RequestSent)[-1].target is None


def test_every_request_leaves_its_decision_and_no_names_in_the_ledger(town: Town) -> None:
    """Events hold ids; what was typed stands in an erasable table."""
    ana = town.person("ana")
    town.request(ana, "a.very.unusual.handle")
    [sent] = town.events(RequestSent)
    assert sent.decision in {made.decision for made in town.events(DecisionMade)}
    assert "unusual" not in "".join(row[0] for row in _raw(town, "SELECT body FROM events"))
    assert _raw(town, "SELECT typed FROM request_words") == [("a.very.unusual.handle",)]

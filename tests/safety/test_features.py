"""Features: windows, shares, and what is not known, from tables of events."""

from __future__ import annotations

from collections.abc import Sequence

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from kith.ledger import log, schema
from kith.ledger.decision import Reason
from kith.ledger.events import (
    AccountCreated,
    Blocked,
    DecisionMade,
    Event,
    FirstMessage,
    Hushed,
    RequestAccepted,
    RequestCancelled,
    RequestDeclined,
    RequestSent,
    Unhushed,
)
from kith.ledger.limits import DAY, HOUR
from kith.safety import store
from kith.safety.features import FEATURES, Features, State, features_of, observe, settles_ms
from kith.safety.limits import Limits
from safety.town import NOON, Remembered, Town

SMALL = Limits(fewest_settled=2, contacts_kept=5)
PATIENCE = SMALL.patience_ms


def seen(events: Sequence[tuple[int, Event]], now: int, limits: Limits = SMALL) -> Features:
    """The features of `ann` after these events."""
    memory = Remembered()
    for at_ms, event in events:
        observe(memory, event, at_ms, limits)
    return features_of(memory.recall("ann"), now, limits=limits)


def asked(number: int, target: str | None = "x") -> RequestSent:
    """A first contact by ann."""
    whom = f"{target}{number}" if target else None
    return RequestSent(request=f"r{number}", requester="ann", target=whom, decision="d")


def test_windows_are_left_open_and_right_closed() -> None:
    """An event exactly a day old is outside, one at this very millisecond inside."""
    first = [(NOON - DAY, asked(1)), (NOON - DAY + 1, asked(2)), (NOON, asked(3))]
    assert seen(first, NOON).first_contacts_1d == 2
    assert seen(first, NOON - 1).first_contacts_1d == 2
    assert seen(first, NOON + DAY).first_contacts_1d == 0


def test_targets_reached_are_distinct_and_the_unreached_are_a_number() -> None:
    """Asking the same person twice reaches one; a request that reached nobody keeps no cause."""
    again = RequestSent(request="again", requester="ann", target="x1", decision="d")
    features = seen([(NOON, asked(1)), (NOON, again), (NOON, asked(2)), (NOON, asked(3, None))], NOON)
    assert (features.reached_7d, features.unreached_7d) == (2, 1)


@pytest.mark.parametrize(
    ("answer", "share"),
    [
        (RequestAccepted(request="r2", requester="ann", target="x2", room="room"), 0.5),
        (RequestDeclined(request="r2", requester="ann", target="x2"), 0.0),
        (RequestCancelled(request="r2", requester="ann", target="x2"), 0.0),
        (Blocked(by="x2", account="ann"), 0.0),
    ],
)
def test_an_answered_first_contact_is_settled_at_once(answer: Event, share: float) -> None:
    """No patience is needed where there is an answer; a block or a withdrawal is no yes."""
    declined = RequestDeclined(request="r1", requester="ann", target="x1")
    features = seen([(NOON, asked(1)), (NOON, declined), (NOON, asked(2)), (NOON + 1, answer)], NOON + 1)
    assert (features.settled_7d, features.accepted_share) == (2, share)


def test_a_yes_followed_by_a_block_is_a_no() -> None:
    """Somebody who accepts and then blocks was not glad of it."""
    yes = RequestAccepted(request="r1", requester="ann", target="x1", room="room")
    events = [(NOON, asked(1)), (NOON, yes), (NOON, asked(2)), (NOON, Blocked(by="x1", account="ann"))]
    assert seen(events, NOON + PATIENCE).accepted_share == 0.0


def test_silence_is_no_answer_before_the_patience_is_over() -> None:
    """The share stays unknown until then, and is 0 afterwards."""
    events: list[tuple[int, Event]] = [(NOON, asked(1)), (NOON, asked(2))]
    assert seen(events, NOON + PATIENCE - 1).accepted_share is None
    assert seen(events, NOON + PATIENCE).accepted_share == 0.0


def test_a_reply_by_the_target_counts_and_ones_own_message_does_not() -> None:
    """Fan-out is judged by who writes back."""
    yes = [(NOON, RequestAccepted(request=f"r{n}", requester="ann", target=f"x{n}", room=f"room{n}")) for n in (1, 2)]
    started: list[tuple[int, Event]] = [(NOON, asked(1)), (NOON, asked(2)), *yes]
    own = (NOON, FirstMessage(room="room1", account="ann"))
    theirs = (NOON, FirstMessage(room="room2", account="x2"))
    assert seen([*started, own], NOON).replied_share == 0.0
    assert seen([*started, own, theirs], NOON).replied_share == 0.5


def test_a_request_by_invitation_is_no_first_contact() -> None:
    """Whoever made the invite wished to be asked; nor can one's own invites buy a good share."""
    invited = RequestSent(request="r9", requester="ann", target="x9", decision="d", invited=True)
    yes = RequestAccepted(request="r9", requester="ann", target="x9", room="room")
    features = seen([(NOON, asked(1)), (NOON, invited), (NOON, yes)], NOON + PATIENCE)
    assert (features.first_contacts_1d, features.settled_7d) == (1, 1)


def test_two_who_ask_each_other_both_wait_for_a_reply(town: Town) -> None:
    """Crossed requests lead to one room, and a room that ends and begins again is no obstacle."""
    town.settle("ann")
    town.settle("ben")
    for one, other in (("ann", "ben"), ("ben", "ann"), ("ann", "ben")):
        request = town.ask(one, other)
        town.happen(RequestAccepted(request=request.request, requester=one, target=other, room="their-room"))
    town.happen(FirstMessage(room="their-room", account="ben"))
    states = {r.account: r.state for r in town.database.read_now(lambda reader: reader.all(store.states.select()))}
    assert msgspec.json.decode(states["ann"], type=State).contacts[-1].replied
    assert not msgspec.json.decode(states["ben"], type=State).contacts[-1].replied


def test_refusals_by_the_minors_gate_are_counted_and_others_are_not() -> None:
    """A number only: the event names nobody but the one who tried."""
    gate = DecisionMade(
        decision="d", policy="first-contact", outcome="refuse", about="ann", reasons=(Reason("adult-to-minor", "…"),)
    )
    other = DecisionMade(
        decision="e", policy="first-contact", outcome="refuse", about="ann", reasons=(Reason("closed", "…"),)
    )
    assert seen([(NOON, gate), (NOON, other), (NOON, gate)], NOON).gate_refusals_7d == 2
    assert seen([(NOON - 7 * DAY, gate)], NOON).gate_refusals_7d == 0


def test_what_is_not_known_is_none_and_never_zero() -> None:
    """An account whose sign-up was not seen has no age."""
    features = seen([(NOON, asked(1))], NOON)
    assert (features.account_age_ms, features.accepted_share, features.contacts_since_limit) == (None, None, None)
    assert "account_age_ms" not in features.known()
    aged = seen([(NOON, AccountCreated(account="ann", band="18+"))], NOON + HOUR)
    assert aged.account_age_ms == HOUR


def test_contacts_since_a_limit_begin_after_it() -> None:
    """What led to the limit is not held against the person twice."""
    memory = Remembered()
    for at_ms, number in ((NOON, 1), (NOON + 1, 2), (NOON + 2, 3)):
        observe(memory, asked(number), at_ms, SMALL)
    assert features_of(memory.recall("ann"), NOON + 2, NOON, SMALL).contacts_since_limit == 2


@given(st.lists(st.tuples(st.integers(0, 10 * DAY), st.booleans()), max_size=40))
def test_memory_stays_bounded_and_holds_only_what_a_window_reaches(steps: list[tuple[int, bool]]) -> None:
    """However many first contacts there are."""
    memory, now = Remembered(), NOON
    for number, (wait, reached) in enumerate(steps):
        now += wait
        observe(memory, asked(number, "x" if reached else None), now, SMALL)
        contacts = memory.recall("ann").contacts
        assert len(contacts) <= SMALL.contacts_kept
        assert all(contact.at_ms > now - SMALL.feature_window_ms for contact in contacts)


@given(st.lists(st.sampled_from(["ask", "yes", "no", "block", "message"]), max_size=30), st.integers(0, 3 * HOUR))
def test_counting_as_it_happens_equals_counting_afterwards(acts: list[str], step: int) -> None:
    """The online state agrees with a plain recount over the whole stream."""
    memory, now = Remembered(), NOON
    asked_at: list[tuple[int, int]] = []
    yes: set[int] = set()
    for number, act in enumerate(acts):
        now += step
        if act == "ask":
            observe(memory, asked(number), now)
            asked_at.append((number, now))
        elif asked_at:
            last = asked_at[-1][0]
            answer: dict[str, Event] = {
                "yes": RequestAccepted(request=f"r{last}", requester="ann", target=f"x{last}", room=f"room{last}"),
                "no": RequestDeclined(request=f"r{last}", requester="ann", target=f"x{last}"),
                "block": Blocked(by=f"x{last}", account="ann"),
                "message": FirstMessage(room=f"room{last}", account=f"x{last}"),
            }
            observe(memory, answer[act], now)
            if act != "message":
                (yes.add if act == "yes" else yes.discard)(last)
    features = features_of(memory.recall("ann"), now)
    assert features.first_contacts_1d == sum(now - DAY < at for _, at in asked_at)
    if features.accepted_share is not None:
        week = [number for number, at in asked_at if now - 7 * DAY < at]
        assert round(features.accepted_share * features.settled_7d) == sum(number in yes for number in week)


def test_the_next_look_comes_when_the_newest_silence_settles() -> None:
    """And never when nothing is open."""
    memory = Remembered()
    assert settles_ms(State()) is None
    observe(memory, asked(1), NOON, SMALL)
    assert settles_ms(memory.recall("ann"), SMALL) == NOON + PATIENCE
    observe(memory, RequestDeclined(request="r1", requester="ann", target="x1"), NOON, SMALL)
    assert settles_ms(memory.recall("ann"), SMALL) is None


def test_every_feature_is_documented_once() -> None:
    """The list in the risk assessment is the list in the code."""
    assert [note.name for note in FEATURES] == list(Features._fields)


def test_features_are_made_of_events_that_hold_no_text() -> None:
    """No table of the room has a column for anything that people write."""
    words = {"text", "body", "content", "note", "message", "caption", "name"}
    for table in (store.states, store.rooms, store.firings, store.notices):
        assert table.info["kind"] in {"operational", "projection"}
        assert words.isdisjoint(column.name for column in table.columns)


def test_rebuilding_the_states_from_the_ledger_gives_the_stored_states(town: Town) -> None:
    """Replay equality: nothing but events goes into a state."""
    town.settle("ann")
    for number in range(6):
        request = town.ask("ann", f"x{number}" if number % 3 else None)
        if number % 2 and request.target:
            town.reply(town.accept(request))
    memory = Remembered()
    for recorded in log.every(town.database):
        observe(memory, recorded.event, recorded.at_ms)
    stored = {
        row.account: row.state for row in town.database.read_now(lambda reader: reader.all(store.states.select()))
    }
    assert stored == {account: _json(state) for account, state in memory.states.items()}
    assert schema.metadata.tables["safety_rooms"] is store.rooms


def _json(state: State) -> str:
    return msgspec.json.encode(state).decode()


def test_restricting_somebody_is_counted_by_nothing() -> None:
    """Whoever is restricted must not find it out by what befalls her; the control is a block, which is looked at."""
    life: list[tuple[int, Event]] = [
        (NOON - DAY, AccountCreated(account="ann", band="18+")),
        (NOON - HOUR, asked(1)),
        (NOON - HOUR, asked(2)),
    ]
    memory = Remembered()
    for at_ms, event in life:
        observe(memory, event, at_ms, SMALL)
    for quiet in (Hushed(by="x1", account="ann"), Unhushed(by="x1", account="ann")):
        assert observe(memory, quiet, NOON, SMALL) is None
    assert features_of(memory.recall("ann"), NOON, limits=SMALL) == seen(life, NOON)
    assert observe(memory, Blocked(by="x1", account="ann"), NOON, SMALL) == "ann"

"""The law of the minors' gate, tried by random lives: no sequence of events joins an adult and an unconnected minor."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import HealthCheck, Phase, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule, run_state_machine_as_test

from kith.ledger.database import Database
from kith.ledger.events import BandChanged, ControlsChanged
from kith.ledger.limits import DAY
from kith.messaging import facts as room_facts
from kith.messaging import first_contact
from kith.messaging.flows import key_packages, requests
from kith.messaging.flows.writing import Sender
from kith.messaging.routes import _lists
from kith.people import blocks, connections, facts
from messaging.town import Clock, Town, projectors

PEOPLE = {"ana": "18+", "ben": "18+", "kim": "13-15", "lou": "16-17", "una": "unknown"}
BANDS = ("13-15", "16-17", "18+", "unknown")
names = st.sampled_from(sorted(PEOPLE))


class Lives(RuleBasedStateMachine):
    """Five people on the real database and the real policy, doing whatever they can."""

    @initialize()
    def begin(self) -> None:
        """An empty server with five people, one phone each."""
        clock = Clock()
        database = Database(":memory:", projectors(), clock=clock)
        database.create_tables()
        self.town = Town(database, clock)
        self.account = {name: self.town.person(name, band) for name, band in PEOPLE.items()}
        self.phone = {name: self.town.phone(account) for name, account in self.account.items()}
        for phone in self.phone.values():
            self.town.stock(phone, 1, last_resort=True)
        self.tokens: list[tuple[str, str]] = []
        """Links, with who made them."""
        self.asked: dict[str, tuple[str, str]] = {}
        """Requests that were not taken back: who asked for whom, by handle or by her link."""
        self.confirmed: set[tuple[str, str]] = set()
        """Who said yes to somebody that came by her own link."""
        self.connected_before: set[tuple[str, str]] = set()

    def teardown(self) -> None:
        """Close."""
        if hasattr(self, "town"):
            self.town.database.close_now()

    def _person(self, name: str) -> facts.Person:
        person: facts.Person = self.town.ask(facts.load, self.account[name])
        return person

    @rule(asker=names, whom=names)
    def ask(self, asker: str, whom: str) -> None:
        """Ask for a handle."""
        self._note(self.town.request(self.account[asker], whom), asker, whom)

    def _note(self, sent: Any, asker: str, whom: str) -> None:
        if isinstance(sent, requests.Sent):
            self.asked[sent.request] = (asker, whom)

    def _let_in(self, minor: str, adult: str) -> bool:
        """By an own request that stands, or by an own link and yes."""
        return (minor, adult) in self.confirmed or (minor, adult) in self.asked.values()

    @rule(maker=names)
    def invite(self, maker: str) -> None:
        """Make a link."""
        made = self.town.do(requests.invite, self.account[maker])
        if isinstance(made, requests.Invite):
            self.tokens.append((made.token, maker))

    @rule(opener=names, pick=st.integers(0, 50))
    def open(self, opener: str, pick: int) -> None:
        """Open a link that was made at some time."""
        if self.tokens:
            token, maker = self.tokens[pick % len(self.tokens)]
            self._note(self.town.do(requests.ask, self.account[opener], token=token), opener, maker)

    @rule(who=names, pick=st.integers(0, 5))
    def accept(self, who: str, pick: int) -> None:
        """Say yes to one of the requests that are open, shown or not."""
        self._answer(requests.accept, who, pick)

    @rule(who=names, pick=st.integers(0, 5))
    def decline(self, who: str, pick: int) -> None:
        """Say no."""
        self._answer(requests.decline, who, pick)

    def _answer(self, verb: Any, who: str, pick: int) -> None:
        sql = "SELECT request, requester, invited FROM requests WHERE target = ? AND outcome IS NULL ORDER BY 1"
        rows = list(self.town.database._writer.execute(sql, (self.account[who],)))
        if rows:
            request, requester, invited = rows[pick % len(rows)]
            asker = next(name for name, account in self.account.items() if account == requester)
            if verb is requests.accept and invited:
                self.confirmed.add((who, asker))
            self.town.do(verb, self.account[who], request)

    @rule(who=names, pick=st.integers(0, 5))
    def cancel(self, who: str, pick: int) -> None:
        """Take one's own request back."""
        sent = self.town.ask(_lists, self.account[who], lambda *_: None).sent
        if sent:
            taken = sent[pick % len(sent)]
            self.town.do(requests.cancel, self.account[who], taken.request)
            if taken.state == "sent":
                self.asked.pop(taken.request, None)

    @rule(who=names, band=st.sampled_from(BANDS), because=st.sampled_from(("review", "lowered")))
    def correct_age(self, who: str, band: str, because: str) -> None:
        """An age is corrected."""
        self.town.do(lambda tx: tx.append(BandChanged(account=self.account[who], band=band, because=because)))

    @rule(who=names, requests_from=st.sampled_from(("everyone", "nobody")))
    def control(self, who: str, requests_from: str) -> None:
        """Requests are switched off or on."""
        self.town.do(lambda tx: tx.append(ControlsChanged(account=self.account[who], requests=requests_from)))

    @rule(by=names, whom=names)
    def block(self, by: str, whom: str) -> None:
        """Block; consent ends with it."""
        if self.town.do(blocks.block, self.account[by], self.account[whom]):
            between = {(by, whom), (whom, by)}
            self.confirmed -= between
            self.asked = {request: pair for request, pair in self.asked.items() if pair not in between}

    @rule(by=names, whom=names)
    def unblock(self, by: str, whom: str) -> None:
        """Unblock."""
        self.town.do(blocks.unblock, self.account[by], self.account[whom])

    @rule(days=st.sampled_from((1, 8, 31, 91)))
    def time_passes(self, days: int) -> None:
        """Days go by, and what reads the ledger reads it."""
        self.town.clock.now += days * DAY
        self.town.do(requests.expire)
        self.town.react()

    def _pairs(self) -> list[tuple[str, str]]:
        return [(a, b) for a in PEOPLE for b in PEOPLE if a < b]

    @invariant()
    def an_adult_is_connected_with_a_minor_only_if_the_minor_let_her_in(self) -> None:
        """Judged at the moment at which two people are connected, by the ages of that moment."""
        for one, other in self._pairs():
            if not self.town.ask(connections.connected, self.account[one], self.account[other]):
                self.connected_before.discard((one, other))
            elif (one, other) not in self.connected_before:
                self.connected_before.add((one, other))
                for minor, adult in ((one, other), (other, one)):
                    if self._person(minor).minor_as_target and not self._person(adult).minor_as_actor:
                        assert self._let_in(minor, adult)

    @invariant()
    def key_packages_go_to_connected_people_only(self) -> None:
        """Nobody unconnected can use a room, be it left over from earlier."""
        for one, other in self._pairs():
            room = self.town.ask(room_facts.room_between, self.account[one], self.account[other])
            if room is None or self.town.ask(connections.connected, self.account[one], self.account[other]):
                continue
            for me, them in ((one, other), (other, one)):
                sender = Sender(self.account[me], self.phone[me].device)
                claim = self.town.do(key_packages.claim, sender, room, [self.phone[them].device])
                assert not isinstance(claim, key_packages.Claim)

    @invariant()
    def nobody_sees_a_request_that_may_not_be_accepted(self) -> None:
        """A minor's list never shows an adult who came without her invite."""
        for who in PEOPLE:
            person = self._person(who)
            for shown in self.town.ask(_lists, self.account[who], lambda *_: None).received:
                asker: facts.Person = self.town.ask(facts.load, shown.account)
                sql = "SELECT invited FROM requests WHERE request = ?"
                [(invited,)] = self.town.database._writer.execute(sql, (shown.request,))
                assert asker.minor_as_actor or not person.minor_as_target or invited


def test_no_life_joins_an_adult_and_an_unconnected_minor() -> None:
    """Not by asking, inviting, crossing, blocking, correcting ages, waiting, in any order."""
    run_state_machine_as_test(Lives, settings=settings(max_examples=100, stateful_step_count=50, deadline=None))


def test_the_law_notices_a_gate_that_forgot_ages(monkeypatch: pytest.MonkeyPatch) -> None:
    """The control: with the minors' rule taken out of both gates, some life breaks the law."""
    reach, may_accept = first_contact.reach, first_contact.may_accept
    monkeypatch.setattr(first_contact, "reach", lambda facts, limits: reach(facts._replace(asker_minor=True), limits))
    monkeypatch.setattr(first_contact, "may_accept", lambda facts: may_accept(facts._replace(asker_minor=True)))
    once = settings(
        max_examples=200,
        stateful_step_count=40,
        deadline=None,
        phases=[Phase.generate],
        database=None,
        print_blob=False,
        suppress_health_check=list(HealthCheck),
    )
    with pytest.raises(AssertionError):
        run_state_machine_as_test(Lives, settings=once)

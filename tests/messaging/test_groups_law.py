"""The laws of groups, tried by random lives: a yes for everybody, no stranger to a minor, no way back from a ban."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import HealthCheck, Phase, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule, run_state_machine_as_test

from kith.ledger.database import Database
from kith.ledger.events import BandChanged
from kith.ledger.limits import DAY
from kith.messaging import group_membership, store
from kith.messaging.flows import groups, inviting, joining, key_packages, roster
from kith.messaging.flows.writing import Sender
from kith.people import blocks, connections, facts
from messaging.town import Clock, Refusal, Town, projectors

PEOPLE = {"ana": "18+", "ben": "18+", "kim": "13-15", "lou": "16-17", "una": "unknown"}
names = st.sampled_from(sorted(PEOPLE))
actors = st.sampled_from((*sorted(PEOPLE), "the owner", "the owner", "the owner"))
"""An owner can do most: with her every third time, short lives get far."""
picks = st.integers(0, 20)
Seat = tuple[str, str]
"""A group and a person."""


class Clubs(RuleBasedStateMachine):
    """Five people on the real database and the real policy, doing whatever they can."""

    @initialize()
    def begin(self) -> None:
        """An empty server with five people, one phone each."""
        self.town = Town(Database(":memory:", projectors(), clock=(clock := Clock())), clock)
        self.town.database.create_tables()
        self.account = {name: self.town.person(name, band) for name, band in PEOPLE.items()}
        self.name = {account: name for name, account in self.account.items()}
        self.phone = {name: self.town.phone(account) for name, account in self.account.items()}
        for phone in self.phone.values():
            self.town.stock(phone, 0, last_resort=True)
        self.rooms: list[str] = []
        self.tokens: list[tuple[str, str, str]] = []
        """Links: token, group, maker."""
        self.yes: set[Seat] = set()
        self.by_friends: set[Seat] = set()
        """Who made the group, or was connected with whoever brought her when she said yes."""
        self.banned: set[Seat] = set()
        self.create("ana")
        for friend in ("ben", "lou"):
            self.befriend("ana", friend)
            self.bring("ana", friend, 0)

    def teardown(self) -> None:
        """Close."""
        if hasattr(self, "town"):
            self.town.database.close_now()

    def _room(self, pick: int) -> str:
        return self.rooms[pick % len(self.rooms)] if self.rooms else ""

    def _actor(self, who: str, room: str) -> str:
        rows = self.town.ask(lambda reader: reader.all(_EVERYBODY, id=room))
        owners = [self.name[row.account] for row in rows if row.role == "owner"]
        return who if who in self.account else owners[0] if owners else "ana"

    def _do(self, verb: Any, who: str, *args: Any, **more: Any) -> Any:
        who = self._actor(who, str(args[0]) if args else "")
        answer = self.town.do(verb, self.account[who], *args, **more)
        self._forget_who_left()
        return answer

    def _forget_who_left(self) -> None:
        there = self._seats()
        self.yes &= there
        self.by_friends &= there

    def _seats(self) -> set[Seat]:
        rows = self.town.ask(lambda reader: [row for room in self.rooms for row in reader.all(_EVERYBODY, id=room)])
        return {(row.room, self.name[row.account]) for row in rows}

    def _came(self, room: str, who: str, by: str) -> None:
        self.yes.add((room, who))
        if who != by and self._protected(by):
            assert self.town.ask(connections.connected, self.account[who], self.account[by]), "a stranger of hers"
        if who == by or self.town.ask(connections.connected, self.account[who], self.account[by]):
            self.by_friends.add((room, who))

    def _protected(self, who: str) -> bool:
        person: facts.Person = self.town.ask(facts.load, self.account[who])
        return person.minor_as_target

    @rule(who=names)
    def create(self, who: str) -> None:
        """Make a group."""
        made = self.town.do(groups.create, self.account[who], groups.Words("Club", ""))
        if not isinstance(made, Refusal) and len(self.rooms) < 2:
            self.rooms.append(made)
            self._came(made, who, who)

    @rule(one=names, other=names)
    def befriend(self, one: str, other: str) -> None:
        """Two people get connected, as both agreed."""
        if one != other and not self.town.ask(blocks.either, self.account[one], self.account[other]):
            self.town.do(connections.grant, self.account[one], self.account[other])

    @rule(by=names, whom=names)
    def block(self, by: str, whom: str) -> None:
        """Block, which ends the connection."""
        self._do(blocks.block, by, self.account[whom])

    @rule(by=names, whom=names)
    def unblock(self, by: str, whom: str) -> None:
        """Unblock."""
        self._do(blocks.unblock, by, self.account[whom])

    @rule(by=actors, whom=names, pick=picks)
    def invite(self, by: str, whom: str, pick: int) -> None:
        """Invite somebody into some group."""
        self._do(inviting.invite, by, self._room(pick), handle=whom)

    @rule(by=actors, whom=names, pick=picks)
    def bring(self, by: str, whom: str, pick: int) -> None:
        """Invite somebody, who says yes at once if it reaches her."""
        room = self._room(pick)
        by = self._actor(by, room)
        self._do(inviting.invite, by, room, handle=whom)
        for one in self.town.ask(inviting.waiting, self.account[whom], 10):
            if one.room == room and self._do(inviting.accept, whom, one.invitation) == room:
                self._came(room, whom, self.name[one.inviter])

    @rule(who=names, pick=picks, yes=st.booleans())
    def answer(self, who: str, pick: int, *, yes: bool) -> None:
        """Say yes or no to an invitation of any time, shown or not."""
        sql = "SELECT invitation, room, inviter FROM invitations WHERE target = ? ORDER BY 1"
        rows = list(self.town.database._writer.execute(sql, (self.account[who],)))
        if rows:
            invitation, room, inviter = rows[pick % len(rows)]
            if not yes:
                self._do(inviting.decline, who, invitation)
            elif self._do(inviting.accept, who, invitation) == room:
                self._came(room, who, self.name[inviter])

    @rule(who=actors, pick=picks)
    def link(self, who: str, pick: int) -> None:
        """Make a link."""
        room = self._room(pick)
        made = self._do(joining.make, who, room)
        if isinstance(made, joining.Link):
            self.tokens.append((made.token, room, self._actor(who, room)))

    @rule(who=names, pick=picks)
    def open(self, who: str, pick: int) -> None:
        """Open a link that was made at some time."""
        if self.tokens:
            token, room, maker = self.tokens[pick % len(self.tokens)]
            there = (room, who) in self.yes
            if isinstance(self._do(joining.join, who, token), joining.Joined) and not there:
                self._came(room, who, maker)

    @rule(by=actors, whom=names, pick=picks, approval=st.booleans())
    def let_in(self, by: str, whom: str, pick: int, *, approval: bool) -> None:
        """Answer who waits; change whether anybody has to."""
        self._do(joining.let_in, by, self._room(pick), self.account[whom])
        self._do(groups.describe, by, self._room(pick), groups.Words(None, None), approval=approval)

    @rule(by=actors, whom=names, pick=picks, role=st.sampled_from(("member", "admin", "owner")))
    def promote(self, by: str, whom: str, pick: int, role: Any) -> None:
        """Change a role, also one's own."""
        self._do(roster.give_role, by, self._room(pick), self.account[whom], role)

    @rule(by=actors, whom=names, pick=picks, ban=st.booleans())
    def remove(self, by: str, whom: str, pick: int, *, ban: bool) -> None:
        """Remove or ban."""
        room = self._room(pick)
        was_there = (room, whom) in self.yes
        if self._do(roster.remove, by, room, self.account[whom], ban=ban) is None and ban and was_there:
            self.banned.add((room, whom))

    @rule(by=actors, whom=names, pick=picks)
    def unban(self, by: str, whom: str, pick: int) -> None:
        """Lift a ban."""
        if self._do(roster.unban, by, self._room(pick), self.account[whom]) is None:
            self.banned.discard((self._room(pick), whom))

    @rule(whom=names, pick=picks)
    def ban(self, whom: str, pick: int) -> None:
        """An owner bans somebody."""
        self.remove("the owner", whom, pick, ban=True)

    @rule(pick=picks)
    def try_to_come_back(self, pick: int) -> None:
        """Somebody who was banned tries every door."""
        if self.banned:
            room, who = sorted(self.banned)[pick % len(self.banned)]
            self.bring("the owner", who, self.rooms.index(room))
            for at in range(len(self.tokens)):
                self.open(who, at)

    @rule(who=actors, pick=picks)
    def leave(self, who: str, pick: int) -> None:
        """Go."""
        self._do(roster.leave, who, self._room(pick))

    @rule(
        who=names,
        band=st.sampled_from(("13-15", "16-17", "18+", "unknown")),
        because=st.sampled_from(("review", "lowered")),
    )
    def correct_age(self, who: str, band: str, because: str) -> None:
        """An age is corrected, and what reads the ledger reads it."""
        self.town.do(lambda tx: tx.append(BandChanged(account=self.account[who], band=band, because=because)))
        self.town.react()
        self._forget_who_left()

    @rule(days=st.sampled_from((1, 8, 31)))
    def time_passes(self, days: int) -> None:
        """Days go by."""
        self.town.clock.now += days * DAY
        self.town.do(inviting.expire)

    @invariant()
    def everybody_said_yes(self) -> None:
        """Nobody stands on a roster by somebody else's act alone."""
        assert self._seats() <= self.yes

    @invariant()
    def who_is_protected_was_brought_by_somebody_she_knew(self) -> None:
        """Whatever the ages were before, and whatever became of the connection since."""
        for room, who in self._seats():
            assert not self._protected(who) or (room, who) in self.by_friends

    @invariant()
    def who_is_banned_is_not_there(self) -> None:
        """By no door."""
        assert not self._seats() & self.banned

    @invariant()
    def there_is_an_owner_wherever_there_is_anybody(self) -> None:
        """Joiners wait outside and do not count."""
        for room in self.rooms:
            roles = [row.role for row in self.town.ask(lambda r, room=room: r.all(_EVERYBODY, id=room))]
            inside = [role for role in roles if role != "joiner"]
            assert not inside or "owner" in inside

    @invariant()
    def who_is_not_inside_gets_and_gives_no_keys(self) -> None:
        """Nobody outside can claim a key package for the group, and nobody's outside is given to it."""
        for room in self.rooms[:1]:
            rows = self.town.ask(lambda r, room=room: r.all(store.ACCOUNTS_INSIDE, id=room))
            inside = {self.name[row.account] for row in rows}
            outside = sorted(set(PEOPLE) - inside)
            wanted = [self.phone[name].device for name in outside]
            for name in (*sorted(inside)[:1], *outside[:1]):
                claim = self.town.do(
                    key_packages.claim, Sender(self.account[name], self.phone[name].device), room, wanted
                )
                assert isinstance(claim, Refusal) if name in outside else not wanted or claim.packages == []


_EVERYBODY = store.PARTICIPANTS


def test_no_life_breaks_a_law_of_groups() -> None:
    """Not by inviting, linking, promoting, banning, correcting ages, waiting, in any order."""
    run_state_machine_as_test(Clubs, settings=settings(max_examples=60, stateful_step_count=50, deadline=None))


@pytest.mark.parametrize("forgotten", ["strangers", "bans", "succession"])
def test_the_laws_notice_a_policy_that_forgot_them(monkeypatch: pytest.MonkeyPatch, forgotten: str) -> None:
    """The control: with a rule taken out, some life breaks its law."""
    apart = group_membership._apart
    if forgotten == "strangers":
        monkeypatch.setattr(group_membership, "_strangers", lambda _facts: False)
    elif forgotten == "bans":
        monkeypatch.setattr(group_membership, "_apart", lambda facts: apart(facts._replace(banned=False)))
    else:
        monkeypatch.setattr(group_membership, "successor", lambda _people: None)
    once = settings(
        max_examples=2000,
        stateful_step_count=50,
        deadline=None,
        phases=[Phase.generate],
        database=None,
        print_blob=False,
        report_multiple_bugs=False,
        suppress_health_check=list(HealthCheck),
    )
    with pytest.raises(AssertionError):
        run_state_machine_as_test(Clubs, settings=once)

"""Groups: nobody is in one without her yes, roles, links, bans, and leaves that follow the roster."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from kith.ledger.events import BandChanged, DecisionMade, MembershipEnded
from kith.ledger.limits import DAY
from kith.messaging import facts, store
from kith.messaging import group_membership as policy
from kith.messaging.flows import groups, handshaking, inviting, joining, key_packages, requests, roster
from kith.messaging.flows.writing import Sender
from kith.messaging.limits import DEFAULTS, Limits
from kith.messaging.outcomes import Accepted, Refusal
from kith.messaging.routes import room_of
from kith.people import blocks, connections, enforcement
from kith.people import facts as people_facts
from kith.people.connections import grant
from kith.people.ladder import Step
from kith.protocol.frames import COMMIT, MESSAGE, ROSTER, WELCOME
from messaging.mls import Group, Phone
from messaging.test_handshakes import accepted, refused
from messaging.test_lane import Desk
from messaging.town import Town


class Club:
    """Ana's group, and a phone for everybody who comes near it."""

    def __init__(self, town: Town) -> None:
        self.town = town
        self.phones: dict[str, Phone] = {}
        self.ana = self.person("ana")
        self.room = str(town.do(groups.create, self.ana, groups.Words("Sunday hikers", "Slow ones too")))

    def person(self, handle: str, band: str = "18+", *, knows: str | None = None) -> str:
        """Somebody with a phone, perhaps connected with another."""
        account = self.town.person(handle, band)
        self.phones[account] = self.town.phone(account)
        self.town.stock(self.phones[account], 2, last_resort=True)
        if knows is not None:
            self.town.do(grant, account, knows)
        return account

    def invite(self, handle: str, by: str | None = None) -> Any:
        """An invitation."""
        return self.town.do(inviting.invite, by or self.ana, self.room, handle=handle)

    def waits(self, account: str) -> list[inviting.Waiting]:
        """Her open invitations."""
        found: list[inviting.Waiting] = self.town.ask(inviting.waiting, account, 10)
        return found

    def member(self, handle: str, band: str = "18+") -> str:
        """Somebody whom Ana knows, invites, and who says yes."""
        account = self.person(handle, band, knows=self.ana)
        self.invite(handle)
        [one] = self.waits(account)
        assert self.town.do(inviting.accept, account, one.invitation) == self.room
        return account

    def role(self, account: str) -> str | None:
        """Her role now."""
        seat = self.town.ask(roster.seat_of, account, self.room)
        return None if seat is None else seat.role

    def roles(self) -> dict[str, str]:
        """Who is in it."""
        return {row.account: row.role for row in self.town.ask(lambda r: r.all(store.PARTICIPANTS, id=self.room))}

    def started(self) -> Group:
        """The MLS group with all phones of the roster."""
        mine, *others = [self.phones[account] for account in sorted(self.roles(), key=lambda one: one != self.ana)]
        return self.town.group(self.room, mine, *others)

    def link(self, by: str | None = None) -> joining.Link:
        """A link by an admin."""
        made = self.town.do(joining.make, by or self.ana, self.room)
        assert isinstance(made, joining.Link), made
        return made


@pytest.fixture
def club(town: Town) -> Club:
    """A group of one."""
    return Club(town)


def test_nobody_is_in_a_group_before_her_own_yes(town: Town, club: Club) -> None:
    """Invited, she is told who, since when, how many and how many she knows; nothing of it is delivered to her."""
    ben = club.person("ben", knows=club.ana)
    club.invite("ben")
    group = club.started()
    accepted(town.send(club.phones[club.ana], group))
    [waiting] = club.waits(ben)
    assert (waiting.inviter, waiting.connected) == (club.ana, True)
    assert (waiting.group.name, waiting.group.members, waiting.group.known) == ("Sunday hikers", 1, 1)
    assert (club.role(ben), town.ask(room_of, ben, club.room)) == (None, None)
    assert [mail for mail in town.mail(club.phones[ben]) if mail.kind != ROSTER] == []
    claim = town.do(
        key_packages.claim,
        Sender(club.ana, club.phones[club.ana].device),
        club.room,
        [club.phones[ben].device],
    )
    assert claim.packages == []
    assert town.do(inviting.accept, ben, waiting.invitation) == club.room
    assert club.role(ben) == "member"
    adding, group = group.commit(
        club.phones[club.ana], add=town.claim(club.phones[club.ana], club.room, club.phones[ben])
    )
    accepted(town.commit(club.phones[club.ana], club.room, adding))
    accepted(town.send(club.phones[ben], group))
    assert town.ask(facts.was_member, club.room, ben, 1) is False
    assert town.ask(facts.was_member, club.room, ben, 2) is True


def test_an_invitation_looks_alike_whoever_is_invited(town: Town, club: Club) -> None:
    """Nobody, a minor one does not know, somebody who blocked, who is closed, banned or inside: one answer."""
    ben, kim = club.member("ben"), club.person("kim", "13-15")
    eve = club.person("eve", knows=club.ana)
    town.do(blocks.block, eve, club.ana)
    club.person("una", "unknown")
    for handle in ("nobody.here", "kim", "eve", "ben", "ana", "una"):
        assert isinstance(club.invite(handle), inviting.Invited)
    sent = town.ask(lambda r: r.all(store.INVITATIONS_SENT, who=club.ana, since=0, most=20))
    still_open = {row.typed for row in sent if row.outcome is None}
    assert still_open == {"nobody.here", "kim", "eve", "ben", "ana", "una"}
    assert club.waits(kim) == club.waits(eve) == club.waits(ben) == []
    rules = {event.reasons[0].rule for event in town.events(DecisionMade) if event.outcome == "refuse"}
    assert rules == {"nobody", "adult-to-minor", "blocked", "in-group"}


def test_a_minor_is_invited_by_whom_she_knows_and_asked_about_at_her_yes_again(town: Town, club: Club) -> None:
    """The connection must stand when she says yes; the control is the same minor a moment earlier."""
    kim = club.person("kim", "13-15", knows=club.ana)
    club.invite("kim")
    [waiting] = club.waits(kim)
    town.do(connections.end, kim, club.ana)
    assert club.waits(kim) == []
    assert town.do(inviting.accept, kim, waiting.invitation).code == "absent"
    town.do(grant, kim, club.ana)
    assert town.do(inviting.accept, kim, waiting.invitation) == club.room


def test_a_removed_account_hears_nothing_at_once_and_the_next_commit_removes_its_leaves(town: Town, club: Club) -> None:
    """Both its devices; messages of others go on to the rest; it cannot send, commit or fetch keys."""
    ben, eve = club.member("ben"), club.member("eve")
    tablet = town.phone(ben)
    town.stock(tablet)
    ana, bens, eves = (club.phones[one] for one in (club.ana, ben, eve))
    group = town.group(club.room, ana, bens, tablet, eves)
    accepted(town.send(ana, group))
    assert town.do(roster.remove, club.ana, club.room, ben) is None
    accepted(town.send(ana, group))
    kinds = [[mail.kind for mail in town.mail(phone) if mail.kind != ROSTER] for phone in (bens, tablet, eves)]
    assert kinds == [[WELCOME, MESSAGE], [WELCOME, MESSAGE], [WELCOME, MESSAGE, MESSAGE]]
    assert refused(town.send(bens, group), "absent")
    his, _ = group.commit(bens)
    assert refused(town.commit(bens, club.room, his), "absent")
    keeping, _ = group.commit(eves)
    assert "has to leave" in refused(town.commit(eves, club.room, keeping))
    half, _ = group.commit(eves, remove=(bens,))
    assert "has to leave" in refused(town.commit(eves, club.room, half))
    whole, after = group.commit(eves, remove=(bens, tablet))
    accepted(town.commit(eves, club.room, whole))
    accepted(town.send(eves, after))
    [ended] = town.events(MembershipEnded)
    assert (ended.account, ended.last_seq) == (ben, 1)
    assert [town.ask(facts.was_member, club.room, ben, seq) for seq in (1, 2)] == [True, False]


def test_who_comes_back_before_the_commit_is_removed_and_added_anew(town: Town, club: Club) -> None:
    """Old leaves have missed messages: they go with the commit that adds fresh ones."""
    ben = club.member("ben")
    ana, bens = club.phones[club.ana], club.phones[ben]
    group = club.started()
    town.do(roster.leave, ben, club.room)
    accepted(town.send(ana, group))
    club.invite("ben")
    [waiting] = club.waits(ben)
    town.do(inviting.accept, ben, waiting.invitation)
    keeping, _ = group.commit(ana)
    assert "has to leave" in refused(town.commit(ana, club.room, keeping))
    anew, after = group.commit(ana, remove=(bens,), add=town.claim(ana, club.room, bens))
    accepted(town.commit(ana, club.room, anew))
    accepted(town.send(bens, after))
    assert [town.ask(facts.was_member, club.room, ben, seq) for seq in (1, 2)] == [False, True]
    assert [mail.kind for mail in town.mail(bens) if mail.kind in (WELCOME, COMMIT)] == [WELCOME, WELCOME]


def test_only_admins_bring_people_in_and_everybody_further_devices(town: Town, club: Club) -> None:
    """A member's device gets no key package of a newcomer, and its commit with one is refused."""
    ben = club.member("ben")
    ana, bens = club.phones[club.ana], club.phones[ben]
    group = club.started()
    eve = club.member("eve")
    eves = club.phones[eve]
    assert town.claim(bens, club.room, eves) == {}
    stolen, _ = group.commit(bens, add={eves: eves.key_package(town.clock.now)})
    assert "not issued" in refused(town.commit(bens, club.room, stolen))
    tablet = town.phone(club.ana)
    town.stock(tablet)
    more, group = group.commit(bens, add=town.claim(bens, club.room, tablet))
    accepted(town.commit(bens, club.room, more))
    adding, _ = group.commit(ana, add=town.claim(ana, club.room, eves))
    town.do(lambda tx: tx.run(store.ROLE_SET, id=club.room, who=club.ana, new_role="member"))
    assert "Only an admin" in refused(town.commit(ana, club.room, adding))
    town.do(lambda tx: tx.run(store.ROLE_SET, id=club.room, who=club.ana, new_role="owner"))
    accepted(town.commit(ana, club.room, adding))


def test_the_owners_new_device_is_let_in_by_any_member_and_only_a_manager_begins(town: Town, club: Club) -> None:
    """Else a group whose owner lost her only device could take in nobody ever again."""
    ben = club.member("ben")
    ana, bens = club.phones[club.ana], club.phones[ben]
    alone, _ = Group.created(club.room, bens, town.clock.now).commit(bens)
    assert "Only an admin" in refused(town.commit(bens, club.room, alone))
    group = club.started()
    town.sign_out(ana)
    removing, group = group.commit(bens, remove=(ana,))
    accepted(town.commit(bens, club.room, removing))
    fresh = town.phone(club.ana)
    town.stock(fresh)
    back, group = group.commit(bens, add=town.claim(bens, club.room, fresh))
    accepted(town.commit(bens, club.room, back))
    accepted(town.send(fresh, group))


def test_a_member_removes_nobody_and_an_admin_no_owner(town: Town, club: Club) -> None:
    """Not on the roster, and not by a commit either."""
    ben, eve = club.member("ben"), club.member("eve")
    town.do(roster.give_role, club.ana, club.room, ben, "admin")
    assert town.do(roster.remove, eve, club.room, ben).code == "not_allowed"
    assert town.do(roster.remove, ben, club.room, club.ana).code == "not_allowed"
    assert town.do(roster.give_role, ben, club.room, eve, "admin").code == "not_allowed"
    assert town.do(roster.give_role, club.ana, club.room, club.ana, "member").code == "conflict"
    group = club.started()
    expelling, _ = group.commit(club.phones[eve], remove=(club.phones[ben],))
    assert "still registered" in refused(town.commit(club.phones[eve], club.room, expelling))
    assert town.do(roster.remove, ben, club.room, eve) is None
    assert club.roles() == {club.ana: "owner", ben: "admin"}


def test_there_is_an_owner_after_the_last_one_left(town: Town, club: Club) -> None:
    """The longest-serving admin, before longer-serving members."""
    ben = club.member("ben")
    town.clock.now += DAY
    eve, zoe = club.member("eve"), club.member("zoe")
    town.do(roster.give_role, club.ana, club.room, eve, "admin")
    town.do(roster.leave, club.ana, club.room)
    assert club.roles() == {ben: "member", eve: "owner", zoe: "member"}
    town.do(roster.leave, eve, club.room)
    assert club.roles() == {ben: "owner", zoe: "member"}


def test_a_banned_account_comes_back_by_no_door_until_it_is_unbanned(town: Town, club: Club) -> None:
    """Not by invitation, by an older invitation, by link, by asking."""
    ben = club.member("ben")
    token = club.link().token
    town.do(roster.remove, club.ana, club.room, ben, ban=True)
    club.invite("ben")
    assert club.waits(ben) == []
    assert town.ask(joining.look, ben, token) is None
    assert town.do(joining.join, ben, token).code == "absent"
    town.do(roster.unban, club.ana, club.room, ben)
    assert town.do(joining.join, ben, token).state == "asked"


def test_a_link_leads_in_through_an_admins_yes_until_it_is_revoked(town: Town, club: Club) -> None:
    """Who waits sees and gets nothing; without approval she is in at once; revoked or expired it is nothing."""
    ben, eve = club.person("ben"), club.person("eve")
    link = club.link()
    seen = town.ask(joining.look, ben, link.token)
    assert (seen.group.name, seen.group.members, seen.by, seen.approval) == ("Sunday hikers", 1, club.ana, True)
    assert town.do(joining.join, ben, link.token).state == "asked"
    assert town.do(joining.join, ben, link.token).state == "asked"
    assert (club.role(ben), town.ask(room_of, ben, club.room)) == ("joiner", None)
    assert town.claim(club.phones[club.ana], club.room, club.phones[ben]) == {}
    assert town.do(joining.let_in, ben, club.room, ben).code == "absent"
    assert town.do(joining.let_in, club.ana, club.room, ben) is None
    assert club.role(ben) == "member"
    town.do(groups.describe, club.ana, club.room, groups.Words(None, None), approval=False)
    town.do(joining.revoke, club.ana, club.room, link.link)
    assert town.do(joining.join, eve, link.token).code == "absent"
    other = club.link()
    assert town.do(joining.join, eve, other.token).state == "joined"
    town.clock.now += DEFAULTS.group_link_life_ms
    assert town.ask(joining.look, club.person("zoe"), other.token) is None


def test_a_link_is_nothing_between_a_minor_and_a_stranger(town: Town, club: Club) -> None:
    """Neither an adult's link for a minor nor a minor's link for an adult; known to each other, both work."""
    kim = club.person("kim", "13-15")
    assert town.ask(joining.look, kim, club.link().token) is None
    assert town.do(joining.join, kim, club.link().token).code == "absent"
    town.do(grant, kim, club.ana)
    assert town.do(joining.join, kim, club.link().token).state == "asked"
    town.do(joining.let_in, club.ana, club.room, kim)
    town.do(roster.give_role, club.ana, club.room, kim, "admin")
    hers, eve = club.link(kim), club.person("eve")
    assert town.do(joining.join, eve, hers.token).code == "absent"
    town.do(grant, kim, eve)
    assert town.do(joining.join, eve, hers.token).state == "asked"


def test_a_minor_brings_in_no_adult_whom_she_does_not_know(town: Town, club: Club) -> None:
    """Nobody protected shares a group with a stranger by her own invitation either; known to her, he is asked."""
    for handle, band in (("kim", "13-15"), ("una", "unknown")):
        minor = club.member(handle, band)
        town.do(roster.give_role, club.ana, club.room, minor, "admin")
        adult = club.person(f"eve.{handle}")
        assert isinstance(club.invite(f"eve.{handle}", minor), inviting.Invited)
        assert club.waits(adult) == []
        town.do(grant, minor, adult)
        club.invite(f"eve.{handle}", minor)
        [waiting] = club.waits(adult)
        town.do(connections.end, minor, adult)
        assert town.do(inviting.accept, adult, waiting.invitation).code == "absent"
        town.do(grant, minor, adult)
        assert town.do(inviting.accept, adult, waiting.invitation) == club.room
    gates = [one for event in town.events(DecisionMade) for one in event.reasons if one.rule == "adult-to-minor"]
    assert gates == []


def test_nobody_is_counted_against_for_a_link_that_a_stranger_opens(town: Town, club: Club) -> None:
    """Else minors could be sent to open it until its maker is limited; her own invitation does count."""
    kim = club.person("kim", "13-15")
    town.do(joining.join, kim, club.link().token)
    gates = [one for event in town.events(DecisionMade) for one in event.reasons if one.rule == "adult-to-minor"]
    assert gates == []
    club.invite("kim")
    gates = [one for event in town.events(DecisionMade) for one in event.reasons if one.rule == "adult-to-minor"]
    assert len(gates) == 1


def test_links_end_with_the_office_of_who_made_them(town: Town, club: Club) -> None:
    """Demoted or gone and back in office, her old links stay dead; another admin's live on."""
    ben, eve = club.member("ben"), club.person("eve")
    others = club.link()

    def promote(role: policy.Role) -> None:
        assert town.do(roster.give_role, club.ana, club.room, ben, role) is None

    promote("admin")
    first = club.link(ben)
    assert town.ask(joining.look, eve, first.token) is not None
    promote("member")
    promote("admin")
    assert town.ask(joining.look, eve, first.token) is None
    second = club.link(ben)
    town.do(roster.leave, ben, club.room)
    club.invite("ben")
    [waiting] = club.waits(ben)
    town.do(inviting.accept, ben, waiting.invitation)
    promote("admin")
    for token in (first.token, second.token):
        assert town.do(joining.join, eve, token).code == "absent"
    assert [row.link for row in town.ask(joining.links_of, club.ana, club.room)] == [others.link]
    assert town.do(joining.join, eve, others.token).state == "asked"


@pytest.mark.parametrize("how", ["demoted", "gone"])
def test_invitations_end_with_the_office_of_who_sent_them(how: str, town: Town, club: Club) -> None:
    """Back in office, her old ones stay dead, and nothing tells which was declined; another admin's live on."""
    ben = club.member("ben")
    eve, kim = club.person("eve", knows=ben), club.person("kim", knows=ben)
    zoe = club.person("zoe", knows=club.ana)

    def promote(role: policy.Role) -> None:
        assert town.do(roster.give_role, club.ana, club.room, ben, role) is None

    promote("admin")
    for handle in ("eve", "kim"):
        club.invite(handle, by=ben)
    club.invite("zoe")
    [open_], [unwanted], [others] = club.waits(eve), club.waits(kim), club.waits(zoe)
    town.do(inviting.decline, kim, unwanted.invitation)
    if how == "demoted":
        promote("member")
    else:
        town.do(roster.leave, ben, club.room)
        club.invite("ben")
        [back] = club.waits(ben)
        town.do(inviting.accept, ben, back.invitation)
    promote("admin")
    assert club.waits(eve) == []
    assert town.do(inviting.accept, eve, open_.invitation).code == "absent"
    assert town.ask(lambda reader: reader.all(store.INVITATIONS_SENT, who=ben, since=0, most=10)) == []
    assert town.do(inviting.accept, zoe, others.invitation) == club.room
    club.invite("eve", by=ben)
    [again] = club.waits(eve)
    assert town.do(inviting.accept, eve, again.invitation) == club.room


def test_a_corrected_age_ends_what_a_stranger_began(town: Town, club: Club) -> None:
    """Who turns out to be a minor stays where somebody she knew brought her in, and nowhere else."""
    known = club.member("ben")
    stranger = club.person("eve")
    club.invite("eve")
    [waiting] = club.waits(stranger)
    town.do(inviting.accept, stranger, waiting.invitation)
    for account in (known, stranger):
        town.do(lambda tx, who=account: tx.append(BandChanged(account=who, band="13-15", because="review")))
    town.react()
    assert club.roles() == {club.ana: "owner", known: "member"}


def test_where_only_admins_write_members_still_renew_their_keys(town: Town, club: Club) -> None:
    """Their messages are refused by name; their commits and the admins' messages are not."""
    ben = club.member("ben")
    group = club.started()
    town.do(groups.describe, club.ana, club.room, groups.Words(None, None), posting="admins")
    assert "Only admins" in refused(town.send(club.phones[ben], group), "not_allowed")
    accepted(town.send(club.phones[club.ana], group))
    renewing, _ = group.commit(club.phones[ben])
    accepted(town.commit(club.phones[ben], club.room, renewing))


def test_limits_of_a_group_are_told_to_who_meets_them(town: Town, club: Club) -> None:
    """People, invitations a day, links."""
    few = Limits(group_accounts=2, group_invitations_per_day=2, group_links_open=1)
    first = town.do(inviting.invite, club.ana, club.room, handle="nobody.one", limits=few)
    assert isinstance(first, inviting.Invited)
    assert town.do(inviting.invite, club.ana, club.room, handle="nobody.two", limits=few).code == "conflict"
    roomy = Limits(group_invitations_per_day=1)
    assert town.do(inviting.invite, club.ana, club.room, handle="nobody.two", limits=roomy).code == "limited"
    assert isinstance(town.do(joining.make, club.ana, club.room, limits=few), joining.Link)
    assert town.do(joining.make, club.ana, club.room, limits=few).code == "conflict"


def test_in_a_commit_batch_who_was_removed_is_judged_by_the_facts_of_that_moment(town: Town, club: Club) -> None:
    """The lane remembers who may write; a removal in between is seen at once, and nothing goes to him any more."""
    ben, eve = club.member("ben"), club.member("eve")
    bens, eves = club.phones[ben], club.phones[eve]
    group, desk = club.started(), Desk(town)
    for phone in (bens, eves):
        desk.together([desk.item(phone, group)])  # a first message is never in the lane
    before = desk.together([desk.item(bens, group), desk.item(eves, group)])
    assert all(isinstance(answer, Accepted) for answer in before)
    town.do(roster.remove, club.ana, club.room, ben)
    waiting = len(town.mail(bens))
    refusal, answer = desk.together([desk.item(bens, group), desk.item(eves, group)])
    assert isinstance(refusal, Refusal)
    assert isinstance(answer, Accepted)
    assert len(town.mail(bens)) == waiting


def test_fellow_members_can_report_and_block_each_other_also_afterwards(town: Town, club: Club) -> None:
    """Somebody whom one shared a group with has a name there; the control is a stranger."""
    ben, eve = club.member("ben"), club.member("eve")
    assert not town.ask(facts.met, ben, club.person("zoe"))
    assert town.ask(facts.met, ben, eve)
    accepted(town.send(club.phones[eve], club.started()))
    town.do(roster.leave, ben, club.room)
    assert town.ask(facts.met, ben, eve)
    club.invite("zoe")
    [waiting] = club.waits(town.ask(people_facts.by_handle, "zoe"))
    assert town.ask(facts.met, town.ask(people_facts.by_handle, "zoe"), waiting.inviter)


def test_roster_changes_come_as_mail(town: Town, club: Club) -> None:
    """To everybody inside and to whom they concern; a waiting one is replaced."""
    ben = club.member("ben")
    town.react()
    town.do(roster.remove, club.ana, club.room, ben)
    town.react()
    for account in (club.ana, ben):
        about = [mail.about for mail in town.mail(club.phones[account]) if mail.kind == ROSTER]
        assert about.count(f"room/{club.room}") == 1


def test_a_ban_after_she_left_rings_nowhere(town: Town, club: Club) -> None:
    """Who is gone is not told what is decided about her, and the roster is as it was; the ban holds all the same."""
    ben = club.member("ben")
    accepted(town.send(club.phones[ben], club.started()))
    town.do(roster.leave, ben, club.room)
    town.react()
    for phone in club.phones.values():
        town.ack(phone, *(mail.mail for mail in town.mail(phone)))
    assert town.do(roster.remove, club.ana, club.room, ben, ban=True) is None
    town.react()
    assert [town.mail(phone) for phone in club.phones.values()] == [[], []]
    club.invite("ben")
    assert club.waits(ben) == []
    assert town.do(joining.join, ben, club.link().token).code == "absent"


def test_roles_and_ranks() -> None:
    """The table of docs/api.md."""
    assert [policy.may_remove(me, them).allowed for me in ("member", "admin", "owner") for them in policy.RANK] == [
        *(False,) * 4,
        *(True, True, False, False),
        *(True, True, True, False),
    ]
    assert policy.may_give_role("owner", "owner", "member", oneself=True, owners=2).allowed
    assert policy.may_give_role("owner", "owner", "member", oneself=True, owners=1).refused
    assert policy.may_give_role("admin", "admin", "owner", oneself=True, owners=1).refused
    assert policy.may_give_role("owner", "owner", "member", oneself=False, owners=2).refused


def test_a_group_has_at_most_so_many_devices(town: Town, club: Club, monkeypatch: pytest.MonkeyPatch) -> None:
    """The cap is asked in the flow; the control is the same commit under the usual one."""
    ben = club.member("ben")
    ana, bens = club.phones[club.ana], club.phones[ben]
    both, _ = Group.created(club.room, ana, town.clock.now).commit(ana, add=town.claim(ana, club.room, bens))
    monkeypatch.setattr(handshaking, "DEFAULTS", replace(DEFAULTS, group_leaves=1))
    assert "at most 1 devices" in refused(town.commit(ana, club.room, both))
    monkeypatch.undo()
    accepted(town.commit(ana, club.room, both))


@pytest.mark.parametrize("fate", ["declined", "blocked", "expired"])
def test_taking_an_invitation_back_tells_nothing_of_what_became_of_it(town: Town, club: Club, fate: str) -> None:
    """Declined, ended by a block, expired and never received: gone from the list alike, and a second time 404 alike."""
    ben = club.person("ben")
    both = [club.invite("ben").invitation, club.invite("nobody.here").invitation]
    match fate:
        case "declined":
            assert town.do(inviting.decline, ben, both[0]) is None
        case "blocked":
            town.do(blocks.block, ben, club.ana)
        case "expired":
            town.clock.now += DEFAULTS.request_life_ms
            town.do(inviting.expire, most=1)  # the other one is due as well, and closed a moment later
    seen = []
    for one in both:
        answers = [town.do(inviting.cancel, club.ana, one) for _ in range(2)]
        rows = town.ask(lambda r: r.all(store.INVITATIONS_SENT, who=club.ana, since=0, most=10))
        seen.append((answers, one in {row.invitation for row in rows}))
    assert seen[0] == seen[1]
    assert seen[1][1] is False


def test_a_no_holds_also_after_the_invitation_was_taken_back(town: Town, club: Club) -> None:
    """Whoever could make a no forgotten by taking back what it answered would ask again at once."""
    ben = club.person("ben")
    first = club.invite("ben").invitation
    town.do(inviting.decline, ben, first)
    town.do(inviting.cancel, club.ana, first)
    club.invite("ben")
    assert club.waits(ben) == []
    eve = club.person("eve")
    town.do(inviting.cancel, club.ana, club.invite("eve").invitation)
    club.invite("eve")
    assert len(club.waits(eve)) == 1


def test_a_full_group_does_not_tell_who_declined(town: Town, club: Club) -> None:
    """A place that a no frees stays taken for the inviter, as one that an invitation to nobody takes."""
    ben, limits = club.person("ben"), replace(DEFAULTS, group_accounts=2)
    invitation = club.invite("ben").invitation
    asked = {"handle": "eve", "limits": limits}
    assert town.do(inviting.invite, club.ana, club.room, **asked).code == "conflict"
    town.do(inviting.decline, ben, invitation)
    assert isinstance(town.do(inviting.invite, club.ana, club.room, **asked), Refusal)
    town.do(inviting.cancel, club.ana, invitation)
    assert isinstance(town.do(inviting.invite, club.ana, club.room, **asked), inviting.Invited)


def impose(town: Town, account: str, what: Any, *, limit: int | None = None) -> None:
    """A measure against somebody."""
    why = {"rule": "spam", "because": "Many declined.", "source": "rule:declines", "facts": {"declined": 12}}
    town.do(enforcement.impose, account, Step(what=what, limit=limit), **why)


def test_a_measures_daily_limit_counts_every_door(town: Town, club: Club) -> None:
    """Requests, invitations and links together; the control is somebody without the measure, who goes on."""
    limited, free = club.person("eve"), club.person("zoe")
    impose(town, limited, "daily_limit", limit=3)
    tokens = []
    for number in range(5):
        owner = club.person(f"owner{number}")
        room = town.do(groups.create, owner, groups.Words("Walks", ""))
        tokens.append(town.do(joining.make, owner, room).token)
    for account, begun in ((limited, 3), (free, 5)):
        own = town.do(groups.create, account, groups.Words("Own", ""))
        answers = [
            town.do(requests.ask, account, handle="nobody.one"),
            town.do(inviting.invite, account, own, handle="nobody.two"),
            *(town.do(joining.join, account, token) for token in tokens[:3]),
        ]
        assert [isinstance(one, Refusal) for one in answers] == [False] * begun + [True] * (5 - begun)
    again = [
        town.do(requests.ask, limited, handle="nobody.one"),
        town.do(joining.join, limited, tokens[4]),
        town.do(inviting.invite, limited, own_room(town, limited), handle="nobody.two"),
    ]
    assert [one.code for one in again] == ["limited"] * 3
    assert town.do(inviting.accept, limited, _invited(town, club, limited)) == club.room


def own_room(town: Town, account: str) -> str:
    """A group that she is in."""
    return str(town.ask(lambda reader: reader.all(store.STANDINGS_OF, who=account))[0].room)


def _invited(town: Town, club: Club, account: str) -> str:
    """An invitation of Ana's: what others begin is not limited by a measure against her."""
    town.do(grant, account, club.ana)
    town.do(inviting.invite, club.ana, club.room, target=account)
    return club.waits(account)[0].invitation


def test_a_suspended_admin_reaches_nobody_by_what_the_group_shows(town: Town, club: Club) -> None:
    """Name and description are read by every member, and a joiner's yes brings somebody in: no way around it."""
    club.member("ben")
    link, eve = club.link(), club.person("eve")
    town.do(joining.join, eve, link.token)
    words = groups.Words("Write to me at example.org", None)
    impose(town, club.ana, "suspended")
    for answer in (
        town.do(groups.describe, club.ana, club.room, words),
        town.do(groups.describe, club.ana, club.room, groups.Words(None, None), approval=False),
        town.do(joining.let_in, club.ana, club.room, eve),
        town.do(joining.make, club.ana, club.room),
    ):
        assert isinstance(answer, Refusal)
        assert answer.code == "restricted"
    assert club.role(eve) == "joiner"
    assert town.do(joining.revoke, club.ana, club.room, link.link) is None


def test_who_may_start_no_conversations_brings_nobody_in_by_a_link(town: Town, club: Club) -> None:
    """A measure against invitations holds for links as well, those made before included."""
    link = club.link()
    impose(town, club.ana, "no_new_conversations")
    made = town.do(joining.make, club.ana, club.room)
    assert isinstance(made, Refusal)
    assert made.code == "restricted"
    eve = club.person("eve")
    assert town.ask(joining.look, eve, link.token) is None
    assert town.do(joining.join, eve, link.token).code == "absent"


def test_a_joiner_is_let_in_by_the_door_that_asks_again(town: Town, club: Club) -> None:
    """Giving a role is no yes: what stands between her and the group now would not be asked."""
    eve = club.person("eve")
    town.do(joining.join, eve, club.link().token)
    answer = town.do(roster.give_role, club.ana, club.room, eve, "member")
    assert isinstance(answer, Refusal)
    assert club.role(eve) == "joiner"
    assert town.do(joining.let_in, club.ana, club.room, eve) is None
    assert club.role(eve) == "member"


def test_an_id_alone_reaches_nobody(town: Town, club: Club) -> None:
    """Who was known once and is known under another handle now is not invited by the id that stayed the same."""
    ben, eve = club.person("ben", knows=club.ana), club.person("eve")
    town.do(connections.end, club.ana, ben)
    for account in (ben, eve):
        sent = town.do(inviting.invite, club.ana, club.room, target=account)
        assert isinstance(sent, inviting.Invited)
        assert club.waits(account) == []
    club.invite("eve")
    assert len(club.waits(eve)) == 1

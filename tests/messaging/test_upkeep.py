"""What happens by itself: rosters, clearing up, retention; and that projections are nothing but the events."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from kith.ledger import log, schema
from kith.ledger.database import Database
from kith.ledger.events import IdentitySet
from kith.ledger.limits import DAY
from kith.messaging import facts, store
from kith.messaging.flows import groups, inviting, joining, requests, roster, sweeping
from kith.messaging.outcomes import Accepted
from kith.people import blocks
from kith.protocol.frames import ROSTER
from messaging.conftest import Pair
from messaging.town import Phone, Town, projectors


def rows(town: Town, table: str) -> list[Any]:
    """Everything in a table."""
    return sorted(town.database._writer.execute(f"SELECT * FROM {table}"), key=repr)  # noqa: S608  a table of ours


def rosters(town: Town, phone: Phone) -> list[str | None]:
    """Whose devices changed, as far as this device was told."""
    return [mail.about for mail in town.mail(phone) if mail.kind == ROSTER]


def test_a_new_device_is_announced_to_connections_and_own_devices(town: Town, pair: Pair) -> None:
    """Also where the room has no group yet; not to strangers, not to whom one is not connected with any more."""
    eve, cem = town.phone(town.person("eve")), town.phone(town.person("cem"))
    town.connect(pair.ana.account, eve.account)
    town.connect(pair.ana.account, cem.account)
    town.do(blocks.block, pair.ana.account, cem.account)
    town.react()
    for phone in (pair.ana, pair.ben, eve, cem):
        town.ack(phone, *(mail.mail for mail in town.mail(phone)))
    laptop = town.phone(pair.ana.account)
    town.react()
    assert rosters(town, pair.ana) == [pair.ana.account]
    assert rosters(town, pair.ben) == [pair.ana.account]
    assert rosters(town, eve) == [pair.ana.account]
    assert rosters(town, cem) == []
    assert rosters(town, laptop) == [pair.ana.account]


def test_a_waiting_roster_is_replaced_by_a_later_one(town: Town, pair: Pair) -> None:
    """So that acking the older one cannot hide the newer change, and a mailbox does not fill with them."""
    town.react()
    [older] = [mail for mail in town.mail(pair.ben) if mail.about == pair.ana.account]
    town.do(lambda tx: tx.append(IdentitySet(account=pair.ana.account, reset=True)))
    town.react()
    town.ack(pair.ben, older.mail)
    assert rosters(town, pair.ben).count(pair.ana.account) == 1


def test_a_signed_out_device_leaves_nothing_waiting(town: Town, pair: Pair) -> None:
    """Its mail, the bodies that waited for it alone, its key packages and answers go."""
    assert isinstance(town.send(pair.ana, pair.group), Accepted)
    assert isinstance(town.send(pair.ben, pair.group), Accepted)
    town.sign_out(pair.ben)
    town.react()
    assert town.mail(pair.ben) == []
    assert [row for row in rows(town, "answers") if pair.ben.device in row] == []
    assert [row for row in rows(town, "key_packages") if pair.ben.device in row] == []
    assert len(rows(town, "bodies")) == 1
    assert rosters(town, pair.ana) == [pair.ana.account, pair.ben.account]


def test_mail_is_kept_for_30_days_and_envelopes_for_14(town: Town, pair: Pair) -> None:
    """To the millisecond, in bounded pieces."""
    for _ in range(3):
        assert isinstance(town.send(pair.ana, pair.group), Accepted)
    town.clock.now += 14 * DAY
    town.do(sweeping.sweep)
    assert len(town.ask(facts.envelopes_after, 0)) == 3
    town.clock.now += 1
    town.do(sweeping.sweep)
    assert town.ask(facts.envelopes_after, 0) == []
    assert len(town.mail(pair.ben)) == 4
    town.clock.now += 16 * DAY
    assert town.do(sweeping.sweep) is False
    assert town.mail(pair.ben) == []
    assert rows(town, "bodies") == []


def test_a_long_backlog_is_swept_in_pieces(town: Town, pair: Pair) -> None:
    """Each flow stays short and says that there is more."""
    for _ in range(250):
        assert isinstance(town.send(pair.ana, pair.group), Accepted)
    town.clock.now += 31 * DAY
    assert [town.do(sweeping.sweep) for _ in range(4)] == [True, True, False, False]
    assert (rows(town, "mailbox"), rows(town, "envelopes"), rows(town, "bodies")) == ([], [], [])


def test_closed_requests_are_forgotten_after_90_days_with_what_was_typed(town: Town) -> None:
    """By an event, so that a replay forgets them too."""
    ana = town.person("ana")
    town.person("ben")
    for handle in ("ben", "nobody.here"):
        town.request(ana, handle)
    town.do(requests.invite, ana)
    town.clock.now += 31 * DAY
    town.do(sweeping.sweep)
    town.do(sweeping.forget)
    assert (len(rows(town, "requests")), len(rows(town, "request_words"))) == (2, 2)
    assert rows(town, "invites") == []
    town.clock.now += 91 * DAY
    town.do(sweeping.forget)
    assert (rows(town, "requests"), rows(town, "request_words")) == ([], [])


def test_retention_survives_clocks_that_jump(town: Town, pair: Pair) -> None:
    """A clock set back deletes nothing; set forward and back again, what is new stays."""
    assert isinstance(town.send(pair.ana, pair.group), Accepted)
    town.clock.now -= 400 * DAY
    town.database._last_ms = 0
    town.do(sweeping.sweep)
    town.do(sweeping.forget)
    assert len(town.mail(pair.ben)) == 2
    assert town.ask(facts.was_member, pair.room, pair.ben.account, 1)


def _club(town: Town, pair: Pair, eve: str) -> None:
    """A group in which people came, rose, left and were banned."""
    ana, ben = pair.ana.account, pair.ben.account
    room = town.do(groups.create, ana, groups.Words("Hikers", ""))
    for handle in ("ben", "nobody.here", "eve"):
        town.do(inviting.invite, ana, room, handle=handle)
    for account in (ben, eve):
        for one in town.ask(inviting.waiting, account, 10):
            town.do(inviting.accept, account, one.invitation)
    town.do(roster.give_role, ana, room, ben, "admin")
    town.do(groups.describe, ana, room, groups.Words("Walkers", None), posting="admins", approval=False)
    zoe = town.person("zoe")
    town.do(joining.join, zoe, town.do(joining.make, ana, room).token)
    town.do(roster.remove, ana, room, zoe, ban=True)
    town.do(roster.leave, ana, room)


def test_replaying_the_events_gives_the_same_projections(town: Town, pair: Pair, tmp_path: Path) -> None:
    """Every table of kind projection, row for row."""
    eve = town.person("eve")
    for asker, handle in ((eve, "ana"), (eve, "nobody.here"), (pair.ana.account, "eve"), (eve, "ben")):
        town.request(asker, handle)
    town.do(blocks.block, pair.ben.account, eve)
    town.clock.now += 5 * DAY
    laptop = town.phone(pair.ben.account)
    town.stock(laptop)
    submitted, group = pair.group.commit(pair.ana, add=town.claim(pair.ana, pair.room, laptop))
    assert isinstance(town.commit(pair.ana, pair.room, submitted), Accepted)
    assert isinstance(town.send(pair.ana, group), Accepted)
    town.sign_out(laptop)
    submitted, group = group.commit(pair.ben, remove=(laptop,))
    assert isinstance(town.commit(pair.ben, pair.room, submitted), Accepted)
    _club(town, pair, eve)
    town.react()
    town.clock.now += 40 * DAY
    town.do(sweeping.sweep)
    town.do(sweeping.forget)
    again = Database(tmp_path / "again.db", projectors())
    again.create_tables()
    assert log.replay(town.database, again) == len(town.events())
    ours = [table for table in schema.metadata.sorted_tables if table.info["kind"] == "projection"]
    assert store.requests in ours
    for table in ours:
        live, replayed = (
            sorted(database._writer.execute(f"SELECT * FROM {table.name}"), key=repr)  # noqa: S608  a table of ours
            for database in (town.database, again)
        )
        assert live == replayed, table.name
    used = (store.requests, store.rooms, store.leaves, store.memberships, store.groups, store.participants, store.bans)
    assert all(rows(town, table.name) for table in (*used, store.invitations))
    again.close_now()


def test_the_export_shows_ones_own_side_only(town: Town) -> None:
    """What was typed and whether it was accepted; nothing of what became of it unseen."""
    ana, ben, eve = town.person("ana"), town.person("ben"), town.person("eve")
    declined = town.request(ana, "ben")
    town.do(requests.decline, ben, declined.request)
    unknown = town.request(ana, "nobody.here")
    room = town.connect(ana, eve)
    held: Any = town.ask(facts.held, ana)
    shapes = {
        one["request"]: {name: value for name, value in one.items() if name not in ("request", "to")}
        for one in held["requests_sent"]
    }
    assert shapes[declined.request] == shapes[unknown.request]
    assert [one["room"] for one in held["rooms"]] == [room]

"""Restricting changes nothing that the other side gets, is told, or could measure by counting."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from kith.ledger.signals import Appended, HushChanged
from kith.messaging.outcomes import Accepted
from kith.people import blocks, hushes
from messaging.conftest import Call, Pair
from messaging.mls import Phone
from messaging.town import Town

SEEN = (
    "/me",
    "/me/devices",
    "/me/standing",
    "/me/export",
    "/connections",
    "/blocks",
    "/hushes",
    "/requests",
    "/rooms",
    "/groups",
    "/group-invitations",
)
Calls = Callable[[Phone], Call]


def view(call: Call, pair: Pair) -> dict[str, Any]:
    """Everything that Ben can ask the server for, byte for byte."""
    paths = (*SEEN, f"/rooms/{pair.room}", f"/accounts/{pair.ana.account}/devices")
    return {path: (answer.status_code, answer.content) for path in paths if (answer := call("GET", path))}


def word_goes(town: Town, pair: Pair) -> tuple[Any, list[Any]]:
    """Ben writes, Ana's phone takes it: the shape of his answer, and every doorbell that rings meanwhile."""
    del town.heard[:]
    answer = town.send(pair.ben, pair.group)
    assert isinstance(answer, Accepted)
    mails = [mail.mail for mail in town.mail(pair.ana)]
    town.ack(pair.ana, *mails)
    rung = [type(signal).__name__ for signal in town.heard if not isinstance(signal, Appended)]
    return (answer.hub_key_id, len(answer.proof or b""), len(answer.server_frank or b"")), rung


def test_whoever_is_restricted_is_shown_the_same_to_the_byte(town: Town, pair: Pair, calls: Calls) -> None:
    """Before, while and after; the control is a block, which he can see in the very same view."""
    word_goes(town, pair)
    ben = calls(pair.ben)
    before = view(ben, pair)
    assert {status for status, _ in before.values()} == {200}
    town.do(hushes.hush, pair.ana.account, pair.ben.account)
    assert view(ben, pair) == before
    town.do(hushes.unhush, pair.ana.account, pair.ben.account)
    assert view(ben, pair) == before
    town.do(blocks.block, pair.ana.account, pair.ben.account)
    assert view(ben, pair) != before


def test_what_a_restricted_person_writes_is_accepted_and_delivered_as_ever(town: Town, pair: Pair) -> None:
    """The same answer and the same doorbells, word of delivery among them; the control is a block's refusal."""
    word_goes(town, pair)
    plain = word_goes(town, pair)
    town.do(hushes.hush, pair.ana.account, pair.ben.account)
    assert word_goes(town, pair) == plain
    assert "Delivered" in plain[1]
    town.do(blocks.block, pair.ana.account, pair.ben.account)
    with pytest.raises(AssertionError):
        word_goes(town, pair)


def test_nobody_else_is_rung_when_somebody_is_restricted(town: Town, pair: Pair) -> None:
    """Doorbells name her who did it, never the other side."""
    del town.heard[:]
    mail = town.mail(pair.ben)
    town.do(hushes.hush, pair.ana.account, pair.ben.account)
    town.do(hushes.unhush, pair.ana.account, pair.ben.account)
    told = [signal for signal in town.heard if not isinstance(signal, Appended | HushChanged)]
    assert {signal.account for signal in told} == {pair.ana.account}
    assert town.mail(pair.ben) == mail


def test_who_is_met_in_a_group_alone_can_be_restricted(town: Town, calls: Calls) -> None:
    """As blocks: nobody has to be connected with a bully to have peace from her."""
    ana, ben, cyn = (town.phone(town.person(name)) for name in ("ana", "ben", "cyn"))
    for other in (ben, cyn):
        town.connect(ana.account, other.account)
    room = calls(ana)("POST", "/groups", {"name": "Choir"}).json()["room"]
    for one in (ben, cyn):
        asked = calls(ana)("POST", f"/groups/{room}/invitations", {"account": one.account}).json()["invitation"]
        assert calls(one)("POST", f"/group-invitations/{asked}/accept").status_code == 200
    assert calls(ben)("PUT", f"/hushes/{cyn.account}").status_code == 204
    stranger = town.phone(town.person("dan"))
    assert calls(stranger)("PUT", f"/hushes/{cyn.account}").status_code == 404

"""HTTP: one answer for everybody one cannot reach, and each call of the contract."""

from __future__ import annotations

import asyncio
import base64
from collections.abc import Callable
from typing import Any

import pytest
from sqlalchemy import bindparam, delete

from kith.ledger.events import ControlsChanged
from kith.messaging import routes
from kith.messaging.limits import Limits
from kith.people import blocks
from kith.people import store as people
from kith.people.server import ServerFacts
from messaging.conftest import Pair
from messaging.mls import HOST, Phone
from messaging.town import START, Town

Call = Callable[..., Any]


def test_every_request_gets_the_same_answer(town: Town, calls: Callable[[Phone], Call]) -> None:
    """Unknown, blocked either way, minor, closed, declined, connected, oneself and reachable: byte for byte."""
    ana = town.phone(town.person("ana"))
    people = {name: town.person(name) for name in ("reachable", "blocks.me", "blocked", "closed", "connected")}
    town.person("minor", "13-15")
    town.person("ageless", "unknown")
    town.do(blocks.block, people["blocks.me"], ana.account)
    town.do(blocks.block, ana.account, people["blocked"])
    town.do(lambda tx: tx.append(ControlsChanged(account=people["closed"], requests="nobody")))
    town.connect(ana.account, people["connected"])
    call = calls(ana)
    handles = [*people, "minor", "ageless", "nobody.here", "ana", "not a handle!"]
    shapes, statements = set(), {}
    for handle in handles:
        ran: list[str] = []
        town.database._writer.exec_trace = lambda _, sql, __, ran=ran: ran.append(sql) or True
        answer = call("POST", "/requests", {"handle": handle})
        town.database._writer.exec_trace = None
        body: dict[str, str] = answer.json()
        shapes.add(
            (
                answer.status_code,
                answer.content.replace(body["request"].encode(), b"ID"),
                tuple(sorted((name, value) for name, value in answer.headers.items() if name != "date")),
            )
        )
        statements[handle] = [sql for sql in ran if "profiles" not in sql]
    assert len(shapes) == 1
    assert next(iter(shapes))[:2] == (201, b'{"request":"ID","status":"sent"}')
    assert all(ran == statements["reachable"] for ran in statements.values())
    assert [row["state"] for row in call("GET", "/requests").json()["sent"]] == ["sent"] * len(handles)


def test_a_request_names_one_person_in_one_way(town: Town, calls: Callable[[Phone], Call]) -> None:
    """Neither, both, unknown fields, other types: 400 with a sentence."""
    call = calls(town.phone(town.person("ana")))
    bodies: list[Any] = [{}, {"handle": "a", "invite": "b"}, {"handle": "b", "x": 1}, {"handle": 7}, [], {"handle": ""}]
    for body in bodies:
        answer = call("POST", "/requests", body)
        assert answer.status_code == 400
        assert answer.json()["error"]["code"] == "invalid"


def test_first_contact_over_http(town: Town, calls: Callable[[Phone], Call]) -> None:
    """Invite, ask, list with the notice, accept, decline, take back."""
    ana, ben = town.phone(town.person("ana")), town.phone(town.person("ben"))
    as_ana, as_ben = calls(ana), calls(ben)
    invite = as_ben("POST", "/invites").json()
    assert invite["expires_ms"] == START + 7 * 24 * 3600 * 1000
    request = as_ana("POST", "/requests", {"invite": invite["token"]}).json()["request"]
    [received] = as_ben("GET", "/requests").json()["received"]
    assert received == {
        "request": request,
        "account": ana.account,
        "handle": "ana",
        "display_name": "Ana",
        "joined_ms": START,
        "mutual": 0,
        "sent_ms": START,
        "notice": {"about": ana.account},
    }
    accepted = as_ben("POST", f"/requests/{request}/accept")
    assert accepted.status_code == 200
    room = accepted.json()["room"]
    assert accepted.json() == {"account": ana.account, "room": room}
    [shown] = as_ana("GET", "/rooms").json()
    assert shown == {
        "room": room,
        "accounts": sorted(
            (
                {"account": p.account, "handle": h, "display_name": h.title(), "role": "member"}
                for p, h in ((ana, "ana"), (ben, "ben"))
            ),
            key=lambda one: one["account"],
        ),
        "epoch": None,
        "room_pos": 0,
        "room_seq": 0,
        "writable": True,
        "delivered_pos": 0,
        "group_info": None,
        "kind": "direct",
        "group": None,
    }
    assert as_ben("POST", f"/requests/{request}/decline").status_code == 404
    assert as_ana("DELETE", f"/requests/{request}").status_code == 404


def test_what_is_not_mine_answers_like_what_is_not_there(
    town: Town, pair: Pair, calls: Callable[[Phone], Call]
) -> None:
    """Rooms, devices and requests of others: one 404 body."""
    eve = town.phone(town.person("eve"))
    request = town.request(eve.account, "ana").request
    cem = calls(town.phone(town.person("cem")))
    somebody = {"devices": [pair.ana.device]}
    paths: list[tuple[str, str, Any]] = []
    for room in (pair.room, "7f0c0c8e-0000-4000-8000-000000000000", "nonsense"):
        paths += [("GET", f"/rooms/{room}", None), ("POST", f"/rooms/{room}/key-packages", somebody)]
    for account in (pair.ana.account, "7f0c0c8e-0000-4000-8000-000000000000"):
        paths.append(("GET", f"/accounts/{account}/devices", None))
    for one in (request, "7f0c0c8e-0000-4000-8000-000000000000"):
        paths += [("POST", f"/requests/{one}/{verb}", None) for verb in ("accept", "decline")]
        paths.append(("DELETE", f"/requests/{one}", None))
    answers = [cem(*path) for path in paths]
    assert {(answer.status_code, answer.content) for answer in answers} == {(404, answers[0].content)}


def test_devices_are_shown_to_connections(town: Town, pair: Pair, calls: Callable[[Phone], Call]) -> None:
    """Identity key, signed list, certified keys."""
    shown = calls(pair.ana)("GET", f"/accounts/{pair.ben.account}/devices").json()
    assert shown == {
        "account": pair.ben.account,
        "aik": base64.b64encode(b"a" * 32).decode(),
        "device_list": base64.b64encode(b"l").decode(),
        "device_list_signature": base64.b64encode(b"s").decode(),
        "devices": [
            {
                "device": pair.ben.device,
                "mls_key": base64.b64encode(pair.ben.public).decode(),
                "added_ms": START,
                "certificate": base64.b64encode(b"c" * 64).decode(),
            }
        ],
    }
    assert town.ask(lambda reader: reader.now) == START


def test_a_connection_without_a_device_has_none_to_show(town: Town, calls: Callable[[Phone], Call]) -> None:
    """Somebody who has not set up a device yet is no stranger: messages wait for her instead of failing."""
    ana, new = town.phone(town.person("ana")), town.person("new")
    town.connect(ana.account, new)
    town.do(
        lambda tx: tx.run(delete(people.identities).where(people.identities.c.account == bindparam("whose")), whose=new)
    )
    answer = calls(ana)("GET", f"/accounts/{new}/devices")
    assert answer.status_code == 200
    assert answer.json() == {
        "account": new,
        "aik": None,
        "device_list": None,
        "device_list_signature": None,
        "devices": [],
    }


def test_key_packages_over_http(town: Town, pair: Pair, calls: Callable[[Phone], Call]) -> None:
    """Upload, count, claim."""
    as_ana, as_ben = calls(pair.ana), calls(pair.ben)
    now_ms = town.clock.now
    fresh = [base64.b64encode(pair.ben.key_package(now_ms)).decode() for _ in range(4)]
    uploaded = as_ben("POST", "/me/key-packages", {"packages": fresh[:3], "last_resort": fresh[3]})
    assert (uploaded.status_code, uploaded.json()) == (200, {"available": 5})
    assert as_ben("GET", "/me/key-packages").json() == {"available": 5, "last_resort": True}
    claimed = as_ana("POST", f"/rooms/{pair.room}/key-packages", {"devices": [pair.ben.device, pair.ana.device]})
    assert claimed.status_code == 200
    [issued] = claimed.json()["packages"]
    assert (issued["device"], issued["account"]) == (pair.ben.device, pair.ben.account)
    assert claimed.json()["missing"] == [pair.ana.device]
    again = as_ben("POST", "/me/key-packages", {"packages": fresh[:1]})
    assert (again.status_code, again.json()["error"]["code"]) == (400, "invalid")
    for wrong in ("", "AAAA", base64.b64encode(pair.ana.key_package(now_ms)).decode(), "not base64"):
        assert as_ben("POST", "/me/key-packages", {"packages": [wrong]}).status_code == 400
    big = base64.b64encode(bytes(200_000)).decode()
    assert as_ben("POST", "/me/key-packages", {"packages": [big]}).status_code in (400, 413)
    assert as_ben("POST", "/me/key-packages", {"packages": [big, big]}).status_code == 413


def test_a_long_list_of_rooms_lets_others_have_their_turn(
    town: Town, pair: Pair, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Put together in pieces, between which everything else goes on; the control is one piece."""
    for number in range(8):
        town.connect(pair.ana.account, town.person(f"friend{number}"))
    server = ServerFacts(name=HOST, origin=f"https://{HOST}", ticket_key=bytes(32), clock=town.clock)
    rooms = town.ask(routes._rooms_of, pair.ana.account)

    async def turns() -> int:
        """How often somebody else was served meanwhile."""
        count, over = 0, False

        async def other() -> None:
            nonlocal count
            while not over:
                count += 1
                await asyncio.sleep(0)

        task = asyncio.create_task(other())
        shown = await routes.listed(town.database, server, pair.ana.account, routes._rooms_of, routes._room)
        over = True
        await task
        assert [one.room for one in shown] == [row.room for row in rooms]
        return count

    monkeypatch.setattr(routes, "LISTED_AT_ONCE", 2)
    assert asyncio.run(turns()) >= 4
    monkeypatch.setattr(routes, "LISTED_AT_ONCE", 100)
    assert asyncio.run(turns()) < 4


def test_lists_of_rooms_have_a_pace_by_their_length(
    town: Town, pair: Pair, calls: Callable[[Phone], Call], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Of both kinds together, and for each person; later they go on."""
    monkeypatch.setattr(routes, "DEFAULTS", Limits(room_lists_at_once=4, room_list_again_ms=1000))
    as_ana, as_ben = calls(pair.ana), calls(pair.ben)
    assert as_ana("GET", "/rooms").status_code == 200  # one to ask, one for the piece
    assert as_ana("GET", "/groups").status_code == 200
    refused = as_ana("GET", "/rooms")
    assert (refused.status_code, refused.json()["error"]["code"]) == (429, "limited")
    assert refused.json()["error"]["retry_after_ms"] == 1000
    assert as_ben("GET", "/rooms").status_code == 200
    town.clock.now += 1000
    assert as_ana("GET", "/rooms").status_code == 200

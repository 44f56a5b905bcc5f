"""Groups over HTTP: one answer whoever is invited, facts before a yes, and nothing for who is outside."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from kith.messaging import group_routes
from kith.people.connections import grant
from messaging.conftest import Call
from messaging.mls import Phone
from messaging.pictures import WEBP
from messaging.town import START, Town

NO_ROOM = "7f0c0c8e-0000-4000-8000-000000000000"


def people(town: Town) -> tuple[Phone, Phone]:
    """Ana and Ben know each other."""
    ana, ben = town.phone(town.person("ana")), town.phone(town.person("ben"))
    town.do(grant, ana.account, ben.account)
    return ana, ben


def test_every_invitation_gets_the_same_answer(town: Town, calls: Callable[[Phone], Call]) -> None:
    """Unknown, minor, ageless, oneself and reachable: byte for byte, by the same questions to the database."""
    ana, _ = people(town)
    town.person("eve")
    town.person("minor", "13-15")
    town.person("ageless", "unknown")
    call = calls(ana)
    room = call("POST", "/groups", {"name": "Hikers"}).json()["room"]
    shapes, statements = set(), {}
    for handle in ("ben", "eve", "minor", "ageless", "nobody.here", "ana", "not a handle!"):
        ran: list[str] = []
        town.database._writer.exec_trace = lambda _, sql, __, ran=ran: ran.append(sql) or True
        answer = call("POST", f"/groups/{room}/invitations", {"handle": handle})
        town.database._writer.exec_trace = None
        invitation = answer.json()["invitation"].encode()
        headers = tuple(sorted((name, value) for name, value in answer.headers.items() if name != "date"))
        shapes.add((answer.status_code, answer.content.replace(invitation, b"ID"), headers))
        statements[handle] = [sql for sql in ran if "profiles" not in sql]
    assert len(shapes) == 1
    assert next(iter(shapes))[:2] == (201, b'{"invitation":"ID","status":"sent"}')
    assert all(ran == statements["ben"] for ran in statements.values())
    sent = call("GET", "/group-invitations").json()["sent"]
    assert {one["state"] for one in sent} == {"sent"}


def test_a_group_over_http(town: Town, calls: Callable[[Phone], Call]) -> None:
    """Make, invite, see, accept, name, promote, leave."""
    ana, ben = people(town)
    as_ana, as_ben = calls(ana), calls(ben)
    made = as_ana("POST", "/groups", {"name": "  Sunday   hikers ", "description": "Slow ones too"})
    assert made.status_code == 201
    room: dict[str, Any] = made.json()
    assert room["kind"] == "group"
    assert room["group"] == {
        "name": "Sunday hikers",
        "description": "Slow ones too",
        "posting": "everyone",
        "approval": True,
        "role": "owner",
        "created_ms": START,
        "photo": None,
    }
    here = f"/groups/{room['room']}"
    assert as_ana("POST", f"{here}/invitations", {"account": ben.account}).status_code == 201
    assert as_ben("GET", f"/rooms/{room['room']}").status_code == 404
    [waiting] = as_ben("GET", "/group-invitations").json()["received"]
    assert waiting["inviter"] == {"account": ana.account, "handle": "ana", "display_name": "Ana", "connected": True}
    assert (waiting["name"], waiting["members"], waiting["known"]) == ("Sunday hikers", 1, 1)
    accepted = as_ben("POST", f"/group-invitations/{waiting['invitation']}/accept")
    assert (accepted.status_code, accepted.json()) == (200, {"room": room["room"]})
    assert [one["state"] for one in as_ana("GET", "/group-invitations").json()["sent"]] == ["joined"]
    assert as_ben("PUT", here, {"name": "Mine now"}).status_code == 403
    assert as_ana("PUT", f"{here}/members/{ben.account}", {"role": "admin"}).status_code == 204
    assert as_ben("PUT", here, {"name": "Ours", "posting": "admins"}).status_code == 204
    [mine] = as_ben("GET", "/groups").json()
    assert (mine["group"]["name"], mine["group"]["role"], mine["group"]["posting"]) == ("Ours", "admin", "admins")
    assert {one["account"]: one["role"] for one in mine["accounts"]} == {ana.account: "owner", ben.account: "admin"}
    assert as_ben("GET", "/rooms").json() == []
    assert as_ana("POST", f"{here}/leave").status_code == 204
    assert as_ana("GET", f"/rooms/{room['room']}").status_code == 404
    assert as_ben("GET", "/groups").json()[0]["group"]["role"] == "owner"


def test_links_bans_and_joiners_over_http(town: Town, calls: Callable[[Phone], Call]) -> None:
    """The token is shown once; revoked it is nothing; the lists are for admins."""
    ana, ben = people(town)
    as_ana, as_ben = calls(ana), calls(ben)
    here = f"/groups/{as_ana('POST', '/groups', {'name': 'Hikers'}).json()['room']}"
    link = as_ana("POST", f"{here}/links", {}).json()
    assert as_ben("POST", "/group-links/look", {"token": link["token"]}).json()["name"] == "Hikers"
    assert as_ben("POST", "/group-links/join", {"token": link["token"]}).json()["state"] == "asked"
    [joiner] = as_ana("GET", f"{here}/joiners").json()
    assert (joiner["account"], joiner["by"]) == (ben.account, ana.account)
    for path in ("joiners", "links", "bans"):
        assert as_ben("GET", f"{here}/{path}").status_code == 404
    assert as_ana("PUT", f"{here}/members/{ben.account}", {"role": "member"}).status_code == 204
    assert as_ana("PUT", f"{here}/bans/{ben.account}").status_code == 204
    assert [one["handle"] for one in as_ana("GET", f"{here}/bans").json()] == ["ben"]
    assert as_ben("POST", "/group-links/join", {"token": link["token"]}).status_code == 404
    assert as_ana("DELETE", f"{here}/bans/{ben.account}").status_code == 204
    [shown] = as_ana("GET", f"{here}/links").json()
    assert (shown["link"], shown["joined"]) == (link["link"], 1)
    assert as_ana("DELETE", f"{here}/links/{link['link']}").status_code == 204
    assert as_ben("POST", "/group-links/look", {"token": link["token"]}).status_code == 404
    assert as_ben("POST", "/group-links/look", {"token": "never"}).json() == as_ben("GET", "/rooms/x").json()


def test_what_is_no_name_gets_a_sentence(town: Town, calls: Callable[[Phone], Call]) -> None:
    """Empty, too long, invisible in part or whole, with marks that turn text around or pile up."""
    call = calls(town.phone(town.person("ana")))
    unseen = ("\u200b", "a\u200bb", "a\u2060b", "\u3164", "\u200d", "a\U000e0041b", "a" + "\u0301" * 9)
    for name in ("", "  ", "n" * 61, "evil\u202ename", "a\u0007b", "\u2028", *unseen):
        answer = call("POST", "/groups", {"name": name})
        assert (answer.status_code, answer.json()["error"]["code"]) == (400, "invalid"), name
    for text in ("a\u2028b", "a\u2029b", "a\nb\n\u3164", *unseen):
        answer = call("POST", "/groups", {"name": "Hikers", "description": text})
        assert (answer.status_code, answer.json()["error"]["code"]) == (400, "invalid"), text
    kept = call("POST", "/groups", {"name": "Zoe\u0308 👩\u200d👧", "description": " One\n\n two 🏔️\n"}).json()["group"]
    assert (kept["name"], kept["description"]) == ("Zoë 👩\u200d👧", "One\n\n two 🏔️")


def test_for_strangers_every_group_is_absent(town: Town, calls: Callable[[Phone], Call]) -> None:
    """The same 404 for a group that exists and one that does not, at every door."""
    ana, ben = people(town)
    room = calls(ana)("POST", "/groups", {"name": "Hikers"}).json()["room"]
    stranger = calls(ben)
    bodies: dict[str, Any] = {
        "/links": {},
        "/invitations": {"handle": "ana"},
        "/members/": {"role": "member"},
        "": {"name": "x"},
    }
    seen = 0
    for router in group_routes.ROUTES:
        for route in router.routes:
            path = route.path.removeprefix("/api/v1")
            if not path.startswith("/groups/"):
                continue
            for method in getattr(route, "methods", ()):
                if method == "OPTIONS":
                    continue
                answers = []
                for which in (room, NO_ROOM):
                    filled = path.replace("{room_id:str}", which).replace("{account_id:str}", ana.account)
                    rest = path.removeprefix("/groups/{room_id:str}").replace("{account_id:str}", "")
                    body = bodies.get(rest) if method in ("POST", "PUT") else None
                    picture = {"content": WEBP, "kind": "image/webp"} if (method, rest) == ("PUT", "/photo") else {}
                    answer = stranger(method, filled.replace("{link_id:str}", NO_ROOM), body, **picture)
                    answers.append((answer.status_code, answer.content))
                assert answers[0] == answers[1], (method, path)
                assert answers[0][0] == 404, (method, path, answers)
                seen += 1
    assert seen == 15


def test_an_admin_changes_no_group_without_end(town: Town, calls: Callable[[Phone], Call]) -> None:
    """Each is an event for good and a mail for every device: names, rules, roles, bans and links have a pace."""
    ana, ben = people(town)
    call = calls(ana)
    here = f"/groups/{call('POST', '/groups', {'name': 'Hikers'}).json()['room']}"
    acts: list[tuple[str, str, dict[str, object] | None]] = [
        ("PUT", here, {"name": "One"}),
        ("PUT", here, {"approval": False}),
        ("PUT", f"{here}/members/{ben.account}", {"role": "admin"}),
        ("PUT", f"{here}/bans/{ben.account}", None),
        ("DELETE", f"{here}/bans/{ben.account}", None),
        ("POST", f"{here}/links", {}),
    ]
    before = 0
    while call(*acts[before % len(acts)]).status_code != 429:
        before += 1
        assert before < 1_000
    assert before >= 60
    for act in acts:
        refused = call(*act)
        assert refused.status_code == 429
        assert refused.json()["error"]["retry_after_ms"] > 0
    assert call("POST", f"{here}/leave").status_code == 204

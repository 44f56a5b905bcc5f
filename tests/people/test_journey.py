"""Accounts, sessions and devices over HTTP, as a client meets them."""

from __future__ import annotations

from kith.ledger.limits import DAY, HOUR
from kith.ledger.signals import DeviceSignedOut
from kith.people import sessions
from people.conftest import GOOD, START, Caller, Keys, World, b64, registered_ids


def test_somebody_signs_up_and_sees_herself(caller: Caller) -> None:
    """The answer to signing up holds everything that the client shows first."""
    answer = caller.sign_up("ana.b")
    assert answer.status_code == 201
    me = answer.json()["me"]
    assert (me["handle"], me["display_name"], me["band"]) == ("ana.b", "Ana.B", "18+")
    assert (me["has_identity"], me["device_registered"], me["server_name"]) == (False, False, "kith.test")
    assert me["standing"] == {"can_start_conversations": True, "can_send": True, "measures": [], "history": []}
    assert caller.call("GET", "/me").json() == me


def test_a_browser_gets_a_cookie_and_no_token(caller: Caller) -> None:
    """The session cookie cannot be read by scripts, and the body does not hold the token."""
    answer = caller.sign_up("ana", bearer=False)
    assert "token" not in answer.json()
    cookie = answer.headers["set-cookie"]
    assert cookie.startswith("__Host-kith=")
    assert all(word in cookie for word in ("HttpOnly", "Secure", "SameSite=strict", "Path=/"))
    assert caller.call("GET", "/me").status_code == 200
    assert caller.call("DELETE", "/sessions/current").status_code == 204
    assert caller.call("GET", "/me").status_code == 401


def test_a_browser_from_another_site_gets_nowhere_with_the_cookie(caller: Caller) -> None:
    """Unsafe calls with the cookie must come from the server's own pages."""
    caller.sign_up("ana", bearer=False)
    assert caller.call("PUT", "/me/profile", {"display_name": "X"}, Origin="https://evil.test").status_code == 403
    assert caller.call("GET", "/me").json()["display_name"] == "Ana"


def test_a_program_gets_a_token_and_no_cookie(caller: Caller) -> None:
    """Who asks for a bearer token gets no cookie beside it."""
    assert "set-cookie" not in caller.sign_up("ana").headers


def test_the_share_lives_as_long_as_the_session(caller: Caller) -> None:
    """Signing out destroys the server's half of the local key."""
    share = caller.sign_up("ana").json()["share"]
    assert caller.call("GET", "/me/share").json() == {"share": share}
    caller.call("DELETE", "/sessions/current")
    assert caller.call("GET", "/me/share").status_code == 401


def test_a_device_registers_and_a_second_one_joins_it(caller: Caller, world: World) -> None:
    """Each registration signs the whole list anew, with the next version."""
    first = caller.sign_up("ana").json()
    keys = Keys(first["account_id"])
    assert caller.call("PUT", "/me/identity", keys.identity()).status_code == 204
    assert caller.call("PUT", "/me/device", keys.device(first["device_id"], 1)).status_code == 204
    second_caller = caller.with_token(None)
    world.clock.now += 1
    second = second_caller.sign_in("ANA").json()
    assert second_caller.call("GET", "/me/identity").json()["sealed_aik"] == b64(b"s" * 60)
    assert second_caller.call("PUT", "/me/device", keys.device(second["device_id"], 2)).status_code == 204
    assert registered_ids(world, first["account_id"]) == {first["device_id"], second["device_id"]}
    assert second_caller.call("GET", "/me").json()["device_registered"] is True
    listed = caller.call("GET", "/me/devices").json()
    assert listed["list_version"] == 2
    assert [(d["name"], d["current"]) for d in listed["devices"]] == [("Phone", True), ("Laptop", False)]


def test_a_removed_device_is_signed_out_at_once_and_leaves_the_list(caller: Caller, world: World) -> None:
    """Remote sign-out ends the session, tells open connections, and the next list must not name the device."""
    first = caller.sign_up("ana").json()
    keys = Keys(first["account_id"])
    caller.call("PUT", "/me/identity", keys.identity())
    caller.call("PUT", "/me/device", keys.device(first["device_id"], 1))
    lost = caller.with_token(None)
    second = lost.sign_in("ana").json()
    lost.call("PUT", "/me/device", keys.device(second["device_id"], 2))
    assert caller.call("DELETE", f"/me/devices/{second['device_id']}").status_code == 204
    assert DeviceSignedOut(second["device_id"]) in world.heard
    assert lost.call("GET", "/me").status_code == 401
    assert world.ask(sessions.share_of, second["device_id"]) is None
    assert caller.call("PUT", "/me/device-list", keys.signed_list(3)).status_code == 409
    del keys.mls[second["device_id"]]
    assert caller.call("PUT", "/me/device-list", keys.signed_list(3)).status_code == 204


def test_nobody_removes_another_persons_device(caller: Caller) -> None:
    """Somebody else's device and no device at all answer alike."""
    ana = caller.sign_up("ana").json()
    marco = caller.with_token(None)
    marco.sign_up("marco")
    theirs = marco.call("DELETE", f"/me/devices/{ana['device_id']}")
    nobodys = marco.call("DELETE", "/me/devices/nothing")
    assert theirs.status_code == nobodys.status_code == 404
    assert theirs.content == nobodys.content
    assert caller.call("GET", "/me").status_code == 200


def test_a_device_list_must_be_right_in_every_part(caller: Caller) -> None:
    """Wrong version, other account, foreign signature, other key, clock ahead: each is refused in words."""
    me = caller.sign_up("ana").json()
    keys = Keys(me["account_id"])
    assert caller.call("PUT", "/me/device", keys.device(me["device_id"], 1)).status_code == 409  # no identity yet
    caller.call("PUT", "/me/identity", keys.identity())
    good = keys.device(me["device_id"], 1)
    stranger = Keys(me["account_id"])
    wrong = [
        (409, keys.device(me["device_id"], 2)),
        (400, stranger.device(me["device_id"], 1)),
        (400, {**good, "added_ms": START + 1}),
        (400, {**good, "mls_key": b64(b"m" * 32)}),
        (400, {**good, **keys.signed_list(1, account="00000000-0000-4000-8000-000000000000")}),
        (400, {**good, "device_list": b64(b"\x00")}),
        (400, {**good, "certificate": b64(b"c" * 64)}),
        (400, {**good, "mls_key": b64(b"short")}),
        (400, {**good, "extra": 1}),
    ]
    for status, body in wrong:
        answer = caller.call("PUT", "/me/device", body)
        assert (answer.status_code, bool(answer.json()["error"]["message"])) == (status, True), answer.text
    assert caller.call("GET", "/me").json()["device_registered"] is False


def test_a_device_keeps_its_key(caller: Caller) -> None:
    """The same device may sign its list again, but never with another key."""
    me = caller.sign_up("ana").json()
    keys = Keys(me["account_id"])
    caller.call("PUT", "/me/identity", keys.identity())
    body = keys.device(me["device_id"], 1)
    caller.call("PUT", "/me/device", body)
    again = {**body, **keys.signed_list(2)}
    assert caller.call("PUT", "/me/device", again).status_code == 204
    assert caller.call("PUT", "/me/device", keys.device(me["device_id"], 3)).status_code == 409


def test_the_identity_key_is_set_once_or_reset(caller: Caller, world: World) -> None:
    """A reset takes every device's registration away: the old key's word is worth nothing."""
    me = caller.sign_up("ana").json()
    keys = Keys(me["account_id"])
    caller.call("PUT", "/me/identity", keys.identity())
    caller.call("PUT", "/me/device", keys.device(me["device_id"], 1))
    fresh = Keys(me["account_id"])
    assert caller.call("PUT", "/me/identity", fresh.identity()).status_code == 409
    assert registered_ids(world, me["account_id"]) == {me["device_id"]}
    assert caller.call("PUT", "/me/identity", fresh.identity(reset=True)).status_code == 204
    assert registered_ids(world, me["account_id"]) == set()
    assert caller.call("PUT", "/me/device", keys.device(me["device_id"], 2)).status_code == 400  # the old key
    assert caller.call("PUT", "/me/device", fresh.device(me["device_id"], 2)).status_code == 204


def test_a_body_that_does_not_say_it_is_json_is_refused(caller: Caller) -> None:
    """What a form of another site can send without asking is not even read; without a body no kind is needed."""
    caller.sign_up("ana")
    for kind in ("text/plain", "application/x-www-form-urlencoded", ""):
        answer = caller.raw("PUT", "/me/controls", b'{"requests":"nobody"}', kind)
        assert (answer.status_code, answer.json()["error"]["code"]) == (400, "invalid")
    assert caller.call("GET", "/me").json()["controls"]["requests"] == "everyone"
    said = caller.raw("PUT", "/me/controls", b'{"requests":"nobody"}', "application/json; charset=utf-8")
    assert said.status_code == 204
    assert caller.call("DELETE", "/sessions/current").status_code == 204


def test_a_stolen_session_replaces_no_identity_and_no_recovery_code(caller: Caller, world: World) -> None:
    """New keys need a sign-in not long ago; the old code still recovers the account, and a fresh sign-in may reset."""
    me = caller.sign_up("ana").json()
    keys, thief = Keys(me["account_id"]), Keys(me["account_id"])
    caller.call("PUT", "/me/identity", keys.identity(auth=b"a" * 32))
    world.clock.now += HOUR
    refused = caller.call("PUT", "/me/identity", thief.identity(reset=True, auth=b"t" * 32))
    assert (refused.status_code, refused.json()["error"]["code"]) == (403, "forbidden")
    body = {"handle": "ana", "new_password": "quite another phrase", "device_name": "Phone", "bearer": True}

    def recovered(auth: bytes) -> int:
        sent = {**body, "recovery_auth": b64(auth)}
        return int(caller.with_token(None).call("POST", "/recovery", sent).status_code)

    assert (recovered(b"t" * 32), recovered(b"a" * 32)) == (401, 201)
    again = caller.with_token(None).sign_in("ana", "quite another phrase").json()
    fresh = caller.with_token(again["token"])
    assert fresh.call("PUT", "/me/identity", thief.identity(reset=True)).status_code == 204


def test_the_recovery_code_sets_a_new_password(caller: Caller) -> None:
    """Only the right code does, for the right handle; the old password is gone."""
    keys = Keys(caller.sign_up("ana").json()["account_id"])
    caller.call("PUT", "/me/identity", keys.identity(auth=b"a" * 32))

    def recover(handle: str, auth: bytes) -> int:
        body = {
            "handle": handle,
            "recovery_auth": b64(auth),
            "new_password": "quite another phrase",
            "device_name": "New phone",
            "bearer": True,
        }
        return int(caller.with_token(None).call("POST", "/recovery", body).status_code)

    assert [recover("ana", b"b" * 32), recover("nobody.here", b"a" * 32)] == [401, 401]
    assert recover("ana", b"a" * 32) == 201
    assert caller.with_token(None).sign_in("ana", GOOD).status_code == 401
    assert caller.with_token(None).sign_in("ana", "quite another phrase").status_code == 201


def test_a_password_is_changed_with_the_old_one(caller: Caller) -> None:
    """A session alone is not enough."""
    caller.sign_up("ana")
    body = {"current": "wrong wrong wrong", "new": "quite another phrase"}
    assert caller.call("POST", "/me/password", body).status_code == 403
    assert caller.call("POST", "/me/password", {**body, "current": GOOD}).status_code == 204
    assert caller.with_token(None).sign_in("ana", "quite another phrase").status_code == 201


def test_controls_and_name_are_changed(caller: Caller) -> None:
    """Closing the door to requests shows among the protections, as something to change back."""
    caller.sign_up("ana")
    assert caller.call("PUT", "/me/controls", {"requests": "nobody"}).status_code == 204
    assert caller.call("PUT", "/me/profile", {"display_name": "  Ana   Béa "}).status_code == 204
    me = caller.call("GET", "/me").json()
    assert me["controls"] == {"requests": "nobody", "read_receipts": True, "typing": True}
    assert me["display_name"] == "Ana Béa"
    assert [p["id"] for p in me["protections"] if p["changeable"]] == ["requests-closed"]
    assert caller.call("PUT", "/me/controls", {"read_receipts": False, "typing": None}).status_code == 204
    me = caller.call("GET", "/me").json()
    assert me["controls"] == {"requests": "nobody", "read_receipts": False, "typing": True}
    assert [p["id"] for p in me["protections"] if p["changeable"]] == ["requests-closed", "read-receipts-off"]
    for wrong in ({"requests": "friends"}, {"typing": "yes"}, {"read_receipts": 2}, {"last_seen": False}):
        assert caller.call("PUT", "/me/controls", wrong).status_code == 400, wrong


def test_a_minor_starts_unseen_and_may_choose_otherwise(caller: Caller) -> None:
    """Neither read receipts nor typing before she says so, and no word that nudges."""
    me = caller.sign_up("mia", year=2011).json()["me"]
    assert me["controls"] == {"requests": "everyone", "read_receipts": False, "typing": False}
    assert [p["id"] for p in me["protections"] if p["changeable"]] == ["read-receipts-off", "typing-off"]
    assert caller.call("PUT", "/me/controls", {"read_receipts": True}).status_code == 204
    exported = caller.call("GET", "/me/export").json()
    assert exported["account"]["controls"] == {"requests": "everyone", "read_receipts": True, "typing": False}


def test_being_seen_is_known_to_the_hour_only(caller: Caller, world: World) -> None:
    """Nobody's minutes are kept."""
    caller.sign_up("ana")
    world.clock.now += DAY + 1234567
    caller.call("GET", "/me")
    seen = caller.call("GET", "/me/devices").json()["devices"][0]["last_seen_ms"]
    assert seen == world.clock.now - world.clock.now % 3_600_000


def test_terms_are_read_before_signing_up(caller: Caller) -> None:
    """Terms and standards need no session."""
    answer = caller.call("GET", "/terms").json()
    assert answer["terms"]
    assert {"child-safety", "spam"} <= {one["id"] for one in answer["standards"]}


def test_nothing_of_mine_is_shown_to_nobody(caller: Caller) -> None:
    """Every call about me needs a session, and a made-up token is none."""
    paths = [
        "/me",
        "/me/share",
        "/me/identity",
        "/me/devices",
        "/me/standing",
        "/me/export",
        "/connections",
        "/blocks",
        "/hushes",
    ]
    for token in (None, "made-up", "x" * 10_000):
        assert {caller.with_token(token).call("GET", path).status_code for path in paths} == {401}


def test_recovering_signs_every_other_device_out_unless_told_otherwise(caller: Caller, world: World) -> None:
    """Whoever stole a session is out with the recovery: session, share and connection end; the new device stays."""
    me = caller.sign_up("ana").json()
    caller.call("PUT", "/me/identity", Keys(me["account_id"]).identity(auth=b"a" * 32))
    stranger = caller.with_token(None)
    assert stranger.sign_up("ben").status_code == 201

    def recover(**more: object) -> Caller:
        body = {"handle": "ana", "new_password": "quite another phrase", "device_name": "Phone", "bearer": True, **more}
        answer = caller.with_token(None).call("POST", "/recovery", {**body, "recovery_auth": b64(b"a" * 32)})
        assert answer.status_code == 201
        return caller.with_token(answer.json()["token"])

    beside = recover(sign_out_others=False)
    assert [who.call("GET", "/me").status_code for who in (caller, beside)] == [200, 200]
    world.heard.clear()
    alone = recover()
    assert [who.call("GET", "/me/share").status_code for who in (caller, beside)] == [401, 401]
    assert [who.call("GET", "/me").status_code for who in (alone, stranger)] == [200, 200]
    assert len([heard for heard in world.heard if isinstance(heard, DeviceSignedOut)]) == 2
    assert DeviceSignedOut(me["device_id"]) in world.heard


def test_a_new_password_can_sign_every_other_device_out(caller: Caller) -> None:
    """Asked for, only the device that changes it stays; not asked for, or with a wrong password, nobody goes."""
    caller.sign_up("ana")
    other = caller.with_token(None)
    other.sign_in("ana")
    kept = {"current": GOOD, "new": "quite another phrase"}
    assert caller.call("POST", "/me/password", kept).status_code == 204
    wrong = {"current": GOOD, "new": "and yet another one", "sign_out_others": True}
    assert caller.call("POST", "/me/password", wrong).status_code == 403
    assert other.call("GET", "/me").status_code == 200
    assert caller.call("POST", "/me/password", {**wrong, "current": "quite another phrase"}).status_code == 204
    assert (other.call("GET", "/me").status_code, caller.call("GET", "/me").status_code) == (401, 200)

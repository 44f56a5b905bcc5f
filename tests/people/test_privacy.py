"""What the server keeps of secrets, what guesses learn, and what an export shows. Every claim has a control."""

from __future__ import annotations

import base64
from pathlib import Path
from typing import Any

from kith.ledger.decision import Decision, Reason
from kith.ledger.events import Blocked, CaseDecided, RequestSent, RuleFired
from kith.ledger.limits import DAY
from kith.ledger.log import record
from kith.people import connections, enforcement, ladder, retention, sessions, store
from people.conftest import GOOD, Caller, Keys, World


def _files(world: World) -> bytes:
    path = Path(world.database.path)
    return b"".join(file.read_bytes() for file in path.parent.glob(path.name + "*"))


def test_tokens_passwords_and_recovery_secrets_cannot_be_read_from_the_disk(caller: Caller, world: World) -> None:
    """A thief of database and log finds no way to sign in; the display name, as a control, is found."""
    answer = caller.sign_up("ana").json()
    keys = Keys(answer["account_id"])
    auth = bytes(range(200, 232))
    caller.call("PUT", "/me/identity", keys.identity(auth=auth))
    everything = _files(world)
    token = answer["token"]
    for secret in (token.encode(), base64.urlsafe_b64decode(token + "="), GOOD.encode(), auth):
        assert secret not in everything
    assert sessions.hash_of(token) in everything  # the control: what is kept, is found this way
    assert b"Ana" in everything


def test_a_share_is_gone_from_the_disk_after_signing_out(caller: Caller, world: World) -> None:
    """Freed pages are overwritten, and the log holds nothing after a checkpoint; before, as a control, it is found."""
    share = base64.b64decode(caller.sign_up("ana").json()["share"])
    assert share in _files(world)
    caller.call("DELETE", "/sessions/current")
    assert world.database._writer.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchone() == (0, 0, 0)
    assert share not in _files(world)


def test_secrets_print_nothing(world: World) -> None:
    """Neither bodies, nor arrivals, nor server facts show what they hold."""
    from kith.people.routes import SignIn  # noqa: PLC0415
    from people.conftest import arrival  # noqa: PLC0415

    held = arrival("tell-nobody")
    body = SignIn(handle="ana", password="tell-nobody", device_name="Phone")
    assert "tell-nobody" not in f"{held!r}{body!r}"
    assert "kkkk" not in repr(world.server)


def _guess(caller: Caller, world: World, handle: str) -> tuple[int, bytes, int, set[str]]:
    before = world.server.hasher.verified
    answer = caller.with_token(None).sign_in(handle, "wrong wrong wrong")
    return answer.status_code, answer.content, world.server.hasher.verified - before, set(answer.headers)


def test_a_wrong_password_and_an_unknown_handle_are_one_answer_and_one_work(caller: Caller, world: World) -> None:
    """Same status, body, headers and number of password hashes, so the same time; also for what is no handle."""
    caller.sign_up("ana")
    known = _guess(caller, world, "ana")
    assert known[0] == 401
    assert known[2] == 1
    for handle in ("nobody.here", "no handle at all", "x"):
        assert _guess(caller, world, handle) == known


def test_a_wrong_recovery_code_and_an_unknown_handle_are_one_answer(caller: Caller) -> None:
    """Same status and body; the new password is hashed in both cases before anything is compared."""
    caller.sign_up("ana")  # has no recovery code at all
    keys = Keys(caller.with_token(None).sign_up("marco").json()["account_id"])
    assert keys.account

    def recover(handle: str) -> Any:
        body = {
            "handle": handle,
            "recovery_auth": base64.b64encode(b"a" * 32).decode(),
            "new_password": "quite another phrase",
            "device_name": "Phone",
        }
        return caller.with_token(None).call("POST", "/recovery", body)

    answers = [recover(handle) for handle in ("ana", "marco", "nobody.here", "no handle")]
    assert {(a.status_code, a.content) for a in answers} == {(401, answers[0].content)}


def test_guessing_ends_in_a_wait_for_known_and_unknown_handles_alike(caller: Caller) -> None:
    """A limit that only known handles had would tell who exists; refusals say how long to wait."""
    caller.sign_up("ana")

    def until_limited(handle: str) -> tuple[int, Any]:
        for tried in range(50):
            answer = caller.with_token(None).sign_in(handle, "wrong wrong wrong")
            if answer.status_code == 429:
                return tried, answer.json()
        return 50, None

    known, unknown = until_limited("ana"), until_limited("nobody.here")
    assert known == unknown
    assert known[0] < 50
    assert known[1]["error"]["retry_after_ms"] > 0


def test_an_export_holds_what_is_mine_and_nothing_that_betrays_others(caller: Caller, world: World) -> None:
    """My acts, addresses and reasons; not who blocked me, whom a request did not reach, nor staff or rules."""
    ana = caller.sign_up("ana").json()["account_id"]
    marco = caller.with_token(None).sign_up("marco").json()["account_id"]
    target = "11111111-1111-4111-8111-111111111111"
    secret = Decision("refuse", (Reason("minors-gate", "The target is protected.", "staff"),))
    open_ = Decision("refuse", (Reason("pace", "You sent many requests today.", "person"),))

    def happen(tx: Any) -> None:
        hidden = record(tx, "first-contact", ana, secret, {"target": target})
        record(tx, "first-contact", ana, open_, {"target": target, "sent": 12})
        tx.append(RequestSent(request="r1", requester=ana, target=target, decision=hidden))
        tx.append(Blocked(by=marco, account=ana))
        tx.append(RuleFired(rule="secret-rule", account=ana, live=True, features={"declined": 3.0}))
        tx.append(
            CaseDecided(
                case="k", account=ana, staff="staff-7", action="none", policy="spam", severity="low", decision="d"
            )
        )
        enforcement.impose(tx, ana, ladder.warning(), rule="spam", because="Slow down.", source="case:k", facts={})

    world.do(happen)
    exported = caller.call("GET", "/me/export")
    assert exported.status_code == 200
    text = exported.text
    for shown in (
        "testclient",
        "You sent many requests today.",
        "Slow down.",
        "people:terms:accepted",
        "sign_ins",
        "r1",
    ):
        assert shown in text
    for hidden_ in (target, marco, "minors-gate", "protected.", "secret-rule", "staff-7", "case:k", "argon2"):
        assert hidden_ not in text


def test_an_export_walks_the_whole_ledger(caller: Caller, monkeypatch: Any) -> None:
    """Stretch by stretch, nothing is left out and nothing comes twice."""
    from kith.people import export  # noqa: PLC0415

    caller.sign_up("ana")
    whole = caller.call("GET", "/me/export").json()["history"]
    monkeypatch.setattr(export, "STRIDE", 1)
    assert caller.call("GET", "/me/export").json()["history"] == whole
    assert [entry["kind"] for entry in whole][:2] == ["people:account:created", "people:terms:accepted"]


def test_sign_in_addresses_are_kept_ninety_days(caller: Caller, world: World) -> None:
    """A job forgets them; a clock set back forgets nothing that is younger."""
    caller.sign_up("ana")
    world.do(retention.sweep)
    rows = world.ask(lambda reader: reader.all(store.sign_ins.select()))
    assert [(row.way, row.address) for row in rows] == [("sign-up", "testclient")]
    world.clock.now -= 400 * DAY
    world.do(retention.sweep)
    assert len(world.ask(lambda reader: reader.all(store.sign_ins.select()))) == 1
    world.clock.now += 491 * DAY
    world.do(retention.sweep)
    assert world.ask(lambda reader: reader.all(store.sign_ins.select())) == []


def test_a_device_unseen_for_half_a_year_is_signed_out(caller: Caller, world: World) -> None:
    """Its share goes, so a lost phone in a drawer stops being a key."""
    device = caller.sign_up("ana").json()["device_id"]
    world.clock.now += 179 * DAY
    world.do(retention.sweep)
    assert world.ask(sessions.share_of, device) is not None
    world.clock.now += 2 * DAY
    world.do(retention.sweep)
    assert world.ask(sessions.share_of, device) is None
    assert caller.call("GET", "/me").status_code == 401


def test_the_count_of_shared_people_tells_adults_nothing_of_minors(world: World) -> None:
    """An adult sees no count for a minor, and minors are not counted for her; a minor sees all."""
    from kith.people.ages import Placed  # noqa: PLC0415

    teen = Placed("13-15", 2_000_000_000_000)
    for name in ("adult", "adult2", "shared"):
        world.account(name)
    for name in ("kid", "kid2", "sharedkid"):
        world.account(name, teen)
    for one in ("adult", "adult2", "kid", "kid2"):
        for other in ("shared", "sharedkid"):
            world.do(connections.grant, one, other)
    seen = {
        (viewer, other): world.ask(connections.mutual, viewer, other)
        for viewer, other in [("adult", "adult2"), ("adult", "kid"), ("kid", "adult"), ("kid", "kid2")]
    }
    assert seen == {("adult", "adult2"): 1, ("adult", "kid"): 0, ("kid", "adult"): 2, ("kid", "kid2"): 2}

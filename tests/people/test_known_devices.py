"""Whoever guesses at somebody's password from everywhere does not lock her out of the devices that she used before."""

from __future__ import annotations

import base64

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kith.people import facts, known_devices
from kith.people.buckets import Charge, charge
from kith.people.routes import _guesses
from people.conftest import GOOD, START, Caller, World

KEY, OTHER_KEY = b"k" * 32, b"o" * 32
LIFE_MS = 1_000


def guessed_at_from_everywhere(world: World, handle: str) -> None:
    """A crowd has used up what the handle has."""
    limits, key = world.server.limits, world.server.ticket_key
    for what, rate in (("sign-in", limits.sign_in_handle), ("recovery", limits.recovery_handle)):
        while world.do(charge, key, (Charge(what, f"as {handle}", rate),)) is None:
            pass


def test_a_crowd_of_guessers_locks_nobody_out_of_a_device_she_used(caller: Caller, world: World) -> None:
    """Her browser is asked for the password as ever; a new one waits, and so does another account's: the controls."""
    caller.with_token(None).sign_up("ana", bearer=False)
    guessed_at_from_everywhere(world, "ana")
    assert caller.sign_in("ana", "wrong wrong wrong", bearer=False).status_code == 401
    assert caller.sign_in("ana", bearer=False).status_code == 201
    hers = caller.http.cookies[known_devices.COOKIE]
    caller.http.cookies.clear()
    assert caller.sign_in("ana", bearer=False).status_code == 429
    assert caller.sign_up("marco", bearer=False).status_code == 201
    assert caller.http.cookies[known_devices.COOKIE] != hers
    assert caller.sign_in("ana", bearer=False).status_code == 429


def crowd(world: World) -> None:
    """Tries at any names from any places have used up what there is for everybody."""
    limits, key = world.server.limits, world.server.ticket_key
    for what, rate in (("sign-in", limits.sign_in_global), ("recovery", limits.recovery_global)):
        for tokens in (100, 1):
            while world.do(charge, key, (Charge(what, "everywhere", rate, tokens),)) is None:
                pass


def test_a_crowd_that_tries_everybody_shuts_nobody_out_of_a_device_she_used(caller: Caller, world: World) -> None:
    """A browser by its cookie, a program by what it was given; without it both wait: the controls."""
    assert caller.with_token(None).sign_up("ana", bearer=False).status_code == 201
    crowd(world)
    assert caller.sign_in("ana", bearer=False).status_code == 201
    caller.http.cookies.clear()
    assert caller.sign_in("ana", bearer=False).status_code == 429


def test_a_program_brings_what_it_was_given(caller: Caller, world: World) -> None:
    """To sign in and to recover, for its own account alone; a browser's answer has none."""
    browser = caller.with_token(None).sign_up("ana", bearer=False).json()
    assert not {"known_device", "token"} & set(browser)
    caller.http.cookies.clear()
    given = caller.sign_in("ana").json()["known_device"]
    assert caller.sign_up("marco").status_code == 201
    caller.http.cookies.clear()
    crowd(world)
    guessed_at_from_everywhere(world, "ana")

    def sign_in(handle: str, known: object) -> int:
        body = {"handle": handle, "password": GOOD, "device_name": "Bot", "bearer": True, "known_device": known}
        return int(caller.call("POST", "/sessions", body).status_code)

    tries = [("ana", given), ("ana", None), ("ana", given[:-1]), ("marco", given), ("ana", "x" * 129), ("ana", 7)]
    assert [sign_in(*one) for one in tries] == [201, 429, 429, 429, 400, 400]
    code = base64.b64encode(b"a" * 32).decode()
    body = {"handle": "ana", "recovery_auth": code, "new_password": "quite another phrase", "device_name": "Phone"}
    assert caller.call("POST", "/recovery", {**body, "known_device": given}).status_code == 401
    assert caller.call("POST", "/recovery", body).status_code == 429


def test_who_has_an_account_cannot_make_ways_past_the_limits_for_it(caller: Caller, world: World) -> None:
    """What known devices of one account try counts together, however many there are."""
    caller.with_token(None).sign_up("ana", bearer=False)
    account = world.ask(facts.by_handle, "ana")
    devices = [known_devices.issue(world.server.ticket_key, account, world.server.clock()) for _ in range(8)]
    most = world.server.limits.known_devices_handle.size
    tries = [
        _guesses("sign-in", "ana", f"10.0.0.{number}", world.server, device)
        for number in range(most)
        for device in [devices[number % 8].partition(".")[0]]
    ]
    answers = [world.do(charge, world.server.ticket_key, tuple(one)) for one in [*tries, tries[0]]]
    assert answers[:most] == [None] * most
    assert answers[most] is not None


def test_a_known_device_has_few_tries_as_well(caller: Caller, world: World) -> None:
    """Stolen or borrowed, it is no way to guess on; a second device of hers is not held up by that."""
    devices: list[str] = []
    for _ in range(2):
        caller.http.cookies.clear()
        answer = caller.sign_in("ana", bearer=False) if devices else caller.sign_up("ana", bearer=False)
        assert answer.status_code == 201
        devices.append(caller.http.cookies[known_devices.COOKIE])
    guessed_at_from_everywhere(world, "ana")

    def on(device: str, password: str) -> int:
        caller.http.cookies.clear()
        caller.http.cookies.set(known_devices.COOKIE, device)
        return int(caller.sign_in("ana", password, bearer=False).status_code)

    tries = [on(devices[0], "wrong wrong wrong") for _ in range(world.server.limits.sign_in_pair.size + 1)]
    assert tries == [401] * world.server.limits.sign_in_pair.size + [429]
    assert on(devices[1], "wrong wrong wrong") == 401


def test_the_code_is_still_asked_for_on_a_known_device(caller: Caller, world: World) -> None:
    """Recovery has its own limit per handle, and the same way around it."""
    caller.sign_up("ana", bearer=False)
    guessed_at_from_everywhere(world, "ana")
    code = base64.b64encode(b"a" * 32).decode()
    body = {"handle": "ana", "recovery_auth": code, "new_password": "quite another phrase", "device_name": "Phone"}
    assert caller.call("POST", "/recovery", body).status_code == 401
    caller.http.cookies.clear()
    assert caller.call("POST", "/recovery", body).status_code == 429


@pytest.mark.parametrize(
    ("key", "account", "later", "known"),
    [
        (KEY, "ana", 0, True),
        (KEY, "ana", LIFE_MS - 1, True),
        (KEY, "ana", LIFE_MS, False),
        (KEY, "ana", -1, False),
        (KEY, "marco", 0, False),
        (OTHER_KEY, "ana", 0, False),
    ],
)
def test_a_cookie_is_good_for_one_account_for_a_while(key: bytes, account: str, later: int, *, known: bool) -> None:
    """And only where the server's key made it."""
    cookie = known_devices.issue(KEY, "ana", START)
    found = known_devices.recognised(key, account, cookie, START + later, LIFE_MS)
    assert (found is not None) == known
    assert found is None or cookie.startswith(found)
    assert "ana" not in cookie


@given(st.text(max_size=200), st.integers(0, 120), st.characters())
def test_no_other_text_is_a_known_device(text: str, at: int, character: str) -> None:
    """Made up, or a real one with one character changed."""
    real = known_devices.issue(KEY, "ana", START)
    altered = real[:at] + character + real[at + 1 :]
    for cookie in {text, altered, altered[:-1]} - {real}:
        assert known_devices.recognised(KEY, "ana", cookie, START, LIFE_MS) is None

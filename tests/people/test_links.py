"""A device is added by approval from another one: once, for a short time, and only within an account."""

from __future__ import annotations

from typing import Any

import pytest

from kith.people.limits import DEFAULT
from people.conftest import Caller, Keys, World, b64

OFFER = {"public_key": b64(b"p" * 32), "tag": b64(b"t" * 32)}
APPROVAL = {"public_key": b64(b"p" * 32), "sealed": b64(b"x" * 92)}


def with_device(caller: Caller, handle: str) -> tuple[Caller, str]:
    """An account with one registered device."""
    session = caller.sign_up(handle).json()
    keys = Keys(session["account_id"])
    assert caller.call("PUT", "/me/identity", keys.identity()).status_code == 204
    assert caller.call("PUT", "/me/device", keys.device(session["device_id"], 1)).status_code == 204
    return caller.with_token(caller.token), session["account_id"]


def second(caller: Caller, handle: str) -> tuple[Caller, str]:
    """The same account on a new device."""
    other = caller.with_token(None)
    return other, other.sign_in(handle).json()["device_id"]


def waiting(caller: Caller) -> list[Any]:
    """What the old device is shown."""
    found: list[Any] = caller.call("GET", "/me/links").json()["waiting"]
    return found


def test_what_one_device_seals_reaches_the_other_once(caller: Caller) -> None:
    """Offer, list, approval, answer; a second approval finds nothing."""
    old, _ = with_device(caller, "ana.b")
    new, device = second(caller, "ana.b")
    assert new.call("PUT", "/me/link", OFFER).status_code == 200
    assert [(one["device"], one["name"], one["tag"]) for one in waiting(old)] == [(device, "Laptop", OFFER["tag"])]
    assert new.call("GET", "/me/link").json()["sealed"] is None
    assert old.call("PUT", f"/me/links/{device}", APPROVAL).status_code == 204
    assert new.call("GET", "/me/link").json()["sealed"] == APPROVAL["sealed"]
    assert waiting(old) == []
    assert old.call("PUT", f"/me/links/{device}", APPROVAL).status_code == 404
    assert new.call("DELETE", "/me/link").status_code == 204
    assert new.call("GET", "/me/link").status_code == 404


def test_an_offer_ends_by_itself(world: World, caller: Caller) -> None:
    """After ten minutes nothing waits, and nothing can be approved."""
    old, _ = with_device(caller, "ana.b")
    new, device = second(caller, "ana.b")
    new.call("PUT", "/me/link", OFFER)
    world.clock.now += DEFAULT.link_ms - 1
    assert waiting(old)
    world.clock.now += 1
    assert waiting(old) == []
    assert old.call("PUT", f"/me/links/{device}", APPROVAL).status_code == 404
    assert new.call("GET", "/me/link").status_code == 404


def test_nobody_elses_device_can_approve_or_be_seen(caller: Caller) -> None:
    """Another account sees no offer and passes nothing on; nor does a device that is not registered itself."""
    with_device(caller, "ana.b")
    new, device = second(caller, "ana.b")
    new.call("PUT", "/me/link", OFFER)
    eve, _ = with_device(caller, "eve.e")
    assert waiting(eve) == []
    assert eve.call("PUT", f"/me/links/{device}", APPROVAL).status_code == 404
    third, _ = second(caller, "ana.b")
    assert third.call("PUT", f"/me/links/{device}", APPROVAL).status_code == 404
    assert new.call("GET", "/me/link").json()["sealed"] is None


def test_an_approval_of_another_key_is_not_passed_on(caller: Caller) -> None:
    """A device that began anew with another key does not get what was sealed to the first."""
    old, _ = with_device(caller, "ana.b")
    new, device = second(caller, "ana.b")
    new.call("PUT", "/me/link", OFFER)
    new.call("PUT", "/me/link", {**OFFER, "public_key": b64(b"q" * 32)})
    assert old.call("PUT", f"/me/links/{device}", APPROVAL).status_code == 404


def test_a_device_that_is_registered_asks_for_nothing(caller: Caller) -> None:
    """Nor does the first device of an account without identity."""
    old, _ = with_device(caller, "ana.b")
    assert old.call("PUT", "/me/link", OFFER).status_code == 409
    caller.sign_up("ben.c")
    assert caller.call("PUT", "/me/link", OFFER).status_code == 409


def test_signing_out_takes_the_offer_along(caller: Caller) -> None:
    """A device that was removed is not approved afterwards."""
    old, _ = with_device(caller, "ana.b")
    new, device = second(caller, "ana.b")
    new.call("PUT", "/me/link", OFFER)
    assert old.call("DELETE", f"/me/devices/{device}").status_code == 204
    assert waiting(old) == []
    assert old.call("PUT", f"/me/links/{device}", APPROVAL).status_code == 404


def test_codes_are_shown_only_so_often(caller: Caller) -> None:
    """A loop of offers is stopped, with the time to wait."""
    with_device(caller, "ana.b")
    new, _ = second(caller, "ana.b")
    answers = [new.call("PUT", "/me/link", OFFER) for _ in range(DEFAULT.link.size + 1)]
    assert answers[-1].status_code == 429
    assert answers[-1].json()["error"]["retry_after_ms"] > 0
    assert answers[0].status_code == 200


@pytest.mark.parametrize(
    "body",
    [{}, {"public_key": "x", "tag": OFFER["tag"]}, {**OFFER, "tag": b64(b"t" * 31)}, {**OFFER, "more": 1}],
)
def test_a_bad_offer_is_a_clear_refusal(caller: Caller, body: dict[str, Any]) -> None:
    """Never a fault of the server."""
    with_device(caller, "ana.b")
    new, _ = second(caller, "ana.b")
    assert new.call("PUT", "/me/link", body).status_code == 400

"""The console's door: one host, one origin, one form token, staff sessions alone, and headers on every answer."""

from __future__ import annotations

import asyncio
import re
from pathlib import Path

import pytest

from console.conftest import Console
from console.scene import PASSWORD
from kith.app.console import Hashing
from kith.ledger.problem import Problem
from kith.people import sessions
from kith.reports import staffing
from kith.reports.staffing import Login
from reports.world import PASSWORD_HASH

STATIC = ["tokens.css", "console.css", "console.js", "icon.svg"]


def test_another_host_is_not_answered(console: Console) -> None:
    """DNS rebinding and the people's host: 421, before anything else."""
    for host in ("kith.test", "staff.kith.test:8001", "127.0.0.1", "evil.test", ""):
        answer = console.visitor().get("/sign-in", Host=host)
        assert answer.status_code == 421
        assert "Sign in" not in answer.text
    assert console.visitor().get("/sign-in").status_code == 200


@pytest.mark.parametrize("origin", [None, "null", "https://kith.test", "http://staff.kith.test", "https://evil.test"])
def test_a_post_from_elsewhere_is_refused(console: Console, origin: str | None) -> None:
    """Also one that names no origin at all."""
    ada = console.as_("ada")
    assert ada.post("/sign-out", {"csrf": ada.csrf()}, origin=origin).status_code == 403
    assert ada.get("/").status_code == 200


def test_every_post_of_every_page_needs_the_form_token_of_its_own_session(console: Console) -> None:
    """No token, a made-up one, and a colleague's; for each route that takes a POST."""
    ada, ben = console.as_("ada"), console.as_("ben")
    before = console.world.raw("select count(*) from events")
    for path in _posts(console):
        for token in ({}, {"csrf": ""}, {"csrf": "0" * 64}, {"csrf": ben.csrf()}, {"csrf": "\u00e9"}):
            assert ada.post(path, token).status_code == 403, path
    assert console.world.raw("select count(*) from events") == before


def _posts(console: Console) -> list[str]:
    routes = console.app.app.routes  # type: ignore[attr-defined]  # the Litestar inside the gate
    paths = {
        re.sub(r"\{[^}]*\}", "00000000-0000-4000-8000-000000000000", r.path) for r in routes if "POST" in r.methods
    }
    assert len(paths) > 8
    return sorted(paths)


def test_without_a_session_every_page_leads_to_the_form(console: Console) -> None:
    """And says nothing on the way."""
    visitor = console.visitor()
    for path in ("/", "/next", "/decisions", "/shift", "/staff", f"/cases/{console.case_about('marco')}"):
        answer = visitor.get(path)
        assert (answer.status_code, answer.headers["location"]) == (303, "/sign-in")


def test_a_persons_token_is_not_a_staff_token(console: Console) -> None:
    """Not even under the right cookie name."""
    visitor = console.visitor()
    for token in (sessions.new_token(), staffing.TOKEN_PREFIX + sessions.new_token(), "", "x" * 5000):
        answer = visitor.get("/", Cookie=f"__Host-kith-staff={token}")
        assert answer.headers["location"] == "/sign-in"


def test_the_cookie_is_bound_to_this_host_and_hidden_from_scripts(console: Console) -> None:
    """__Host-, Secure, HttpOnly, SameSite=Strict, no Domain."""
    [session] = [
        c for c in console.visitor().sign_in("ada").headers.get_list("set-cookie") if c.startswith("__Host-kith-staff=")
    ]
    assert {"Path=/", "Secure", "HttpOnly", "SameSite=strict"} <= set(session.split("; "))
    assert "Domain" not in session


def test_a_wrong_name_and_a_wrong_password_answer_alike(console: Console) -> None:
    """Same status, same page but for the form token."""
    pages = set()
    for login, password in (("ada", "wrong password"), ("nobody", "wrong password"), ("ada", ""), ("\u00e9" * 64, "x")):
        answer = console.visitor().sign_in(login, password)
        assert answer.status_code == 401
        pages.add(re.sub(r'value="[0-9a-f]{64}"', "", answer.text))
    assert len(pages) == 1


def test_guessing_has_to_wait_even_with_the_right_password(console: Console) -> None:
    """Five wrong ones, then 429 for this name; a colleague still gets in."""
    for _ in range(5):
        assert console.visitor().sign_in("ada", "wrong").status_code == 401
    answer = console.visitor().sign_in("ada")
    assert answer.status_code == 429
    assert "Try again in 15 min" in answer.text
    console.as_("ben")
    console.world.clock.now += 15 * 60_000
    console.as_("ada")


def test_signing_out_ends_the_session(console: Console) -> None:
    """Also for a copy of the cookie."""
    ada = console.as_("ada")
    token = ada.http.cookies["__Host-kith-staff"]
    assert ada.submit("/sign-out").headers["location"] == "/sign-in"
    assert console.visitor().get("/", Cookie=f"__Host-kith-staff={token}").headers["location"] == "/sign-in"


@pytest.mark.parametrize("path", ["/", "/sign-in", "/nothing", "/cases/x", "/static/console.js", "/static/nothing"])
def test_every_answer_carries_the_headers(console: Console, path: str) -> None:
    """Found or not: a strict policy, no frames, no cache, no sniffing."""
    headers = console.as_("ada").get(path).headers
    policy = headers["content-security-policy"]
    assert "default-src 'none'" in policy
    assert "require-trusted-types-for 'script'" in policy
    assert "unsafe" not in policy
    assert "frame-ancestors 'none'" in policy
    assert headers["x-content-type-options"] == "nosniff"
    assert headers["cache-control"] in ("no-store", "no-cache" if path.startswith("/static") else "no-store")


def test_static_files_are_the_four_and_nothing_around_them(console: Console) -> None:
    """No path leads out of the folder."""
    visitor = console.visitor()
    assert all(visitor.get(f"/static/{name}").status_code == 200 for name in STATIC)
    for name in ("__init__.py", "../__init__.py", "%2e%2e%2f__init__.py", "..%2ftemplates%2fbase.html"):
        assert visitor.get(f"/static/{name}").status_code == 404


def test_tokens_are_the_same_as_the_peoples_clients() -> None:
    """One paper, one ink: the file here equals the client's, or this says which to copy."""
    root = Path(__file__).parents[2]
    own = root / "src/kith/app/console/static/tokens.css"
    theirs = root / "web/src/tokens.css"
    assert own.read_text() == theirs.read_text(), f"copy {theirs} to {own}"


def test_a_body_without_end_is_refused(console: Console) -> None:
    """Over 64 KiB: 413, not read whole; a long field: 400."""
    ada = console.as_("ada")
    assert ada.submit("/sign-out", {"x": "y" * 70_000}).status_code == 413
    assert ada.submit("/sign-out", {"x": "y" * 5_000}).status_code == 400


def test_a_rush_of_sign_ins_is_told_to_wait() -> None:
    """Two are checked at a time and a few may wait; the rest hear so at once instead of piling up."""

    async def rush() -> list[bool | BaseException]:
        hashing = Hashing(threads=1, most_waiting=2)
        login = Login("somebody", PASSWORD_HASH)
        return await asyncio.gather(*(hashing.check(login, PASSWORD) for _ in range(8)), return_exceptions=True)

    answers = asyncio.run(rush())
    assert answers[:3] == [True] * 3
    assert all(isinstance(answer, Problem) and answer.code == "limited" for answer in answers[3:])

"""A member of staff at the console of a running server, over HTTP: what forms do, without a browser."""

from __future__ import annotations

import re
from http.cookies import SimpleCookie
from types import TracebackType
from typing import Self

import httpx

from journeys.harness import STAFF_PASSWORD, Server

LOOPBACK = "http://127.0.0.1"


class Reviewer:
    """Somebody who may sit at the console: `with Reviewer(server, "rita", "reviewer") as rita`."""

    def __init__(self, server: Server, login: str, *roles: str) -> None:
        server.add_staff(login, *roles)
        self._origin = server.staff_origin
        host = server.staff_origin.removeprefix("http://")
        self._http = httpx.Client(base_url=f"{LOOPBACK}:{server.staff_port}", headers={"Host": host}, trust_env=False)
        self._cookies: dict[str, str] = {}
        form = self.get("/sign-in")
        self.post("/sign-in", {"login": login, "password": STAFF_PASSWORD, "csrf": token_on(form)})

    def __enter__(self) -> Self:
        return self

    def __exit__(self, _: type[BaseException] | None, __: BaseException | None, ___: TracebackType | None) -> None:
        self._http.close()

    def _send(self, request: httpx.Request) -> httpx.Response:
        # By hand: these cookies are Secure, and only browsers hold the loopback for a safe place.
        request.headers["Cookie"] = "; ".join(f"{name}={value}" for name, value in self._cookies.items())
        answer = self._http.send(request)
        for line in answer.headers.get_list("set-cookie"):
            self._cookies |= {name: one.value for name, one in SimpleCookie(line).items()}
        return answer

    def get(self, path: str) -> str:
        """A page."""
        answer = self._send(self._http.build_request("GET", path))
        assert answer.status_code == 200, (path, answer.status_code, answer.headers.get("location"))
        return answer.text

    def fetch(self, path: str, headers: dict[str, str] | None = None) -> httpx.Response:
        """Whatever a page shows beside its text."""
        return self._send(self._http.build_request("GET", path, headers=headers))

    def post(self, path: str, fields: dict[str, str]) -> httpx.Response:
        """Send a form; a refusal is an error of the test."""
        answer = self._send(self._http.build_request("POST", path, data=fields, headers={"Origin": self._origin}))
        assert answer.status_code in (200, 303), (path, answer.status_code, answer.text)
        return answer

    def submit(self, path: str, **fields: str) -> httpx.Response:
        """Send a form of this session."""
        return self.post(path, {"csrf": token_on(self.get("/decisions")), **fields})

    def take_about(self, handle: str) -> str:
        """Take the waiting case about somebody; those about others are given back."""
        for case in re.findall(r'href="/cases/([0-9a-f-]{36})"', self.get("/")):
            self.submit(f"/cases/{case}/claim")
            if f"<bdi>{handle}</bdi>" in self.get(f"/cases/{case}"):
                return str(case)
            self.submit(f"/cases/{case}/release")
        raise AssertionError(f"no case about {handle}")

    def reads_all(self, case: str) -> tuple[list[str], int]:
        """Open every message; their words, and how many of them are verified."""
        page = self.submit(f"/cases/{case}/open", what="all").text
        return re.findall(r'<p class="words" dir="auto">([^<]*)</p>', page), page.count(">VERIFIED<")

    def decides(self, case: str, policy: str, action: str, *, days: int | None = None) -> None:
        """Every message breaks the standards; then this measure."""
        page = self.get(f"/cases/{case}")
        verdicts = dict.fromkeys(re.findall(r'name="(verdict-[0-9a-f-]{36})"', page), "breaks-standards")
        term = "" if days is None else str(days)
        fields = {"policy": policy, "severity": "moderate", "action": action, "days": term, "reason": ""}
        done = self.submit(f"/cases/{case}/decide", **verdicts, **fields)
        assert done.status_code == 303, done.text

    def overturns(self, case: str, reason: str) -> None:
        """Take a measure back on appeal."""
        self.submit(f"/cases/{case}/appeal", outcome="overturned", reason=reason)


def token_on(page: str) -> str:
    """The form token on a page."""
    found = re.search(r'name="csrf" value="([0-9a-f]+)"', page)
    assert found, "no form on this page"
    return found[1]

"""A small server with a decided child-safety case, two child-safety people, and a practice CyberTipline."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

from kith.authorities import flows, preservation, projections, store
from kith.authorities.draft import Operator
from kith.authorities.environment import Destination
from kith.authorities.flows import Reading
from kith.authorities.limits import Limits
from kith.authorities.office import Office
from kith.authorities.reactions import READER, reaction
from kith.authorities.submitter import Submitter
from kith.ledger import audit, log
from kith.ledger.database import Database, Projectors, Row, Tx
from kith.ledger.limits import HOUR
from kith.people import store as people_store
from kith.reports import review
from kith.reports.consequences import Choice
from kith.reports.staffing import Staff
from kith.reports.taxonomy import BY_ID
from reports.world import EVIDENCE, HOST, World

CANARY = "Sturmvogel 4711"
"""In every reported text, so that a test can look for it anywhere."""
OPERATOR = Operator(first_name="Ada", last_name="Lund", email="safety@kith.example")


def joined(*parts: Projectors) -> Projectors:
    """Projectors of several rooms."""
    merged: dict[Any, Any] = {}
    for part in parts:
        for kind, several in part.items():
            merged[kind] = (*merged.get(kind, ()), *several)
    return merged


class Bureau(World):
    """A world with this room in it."""

    def __init__(self, path: Path, *, endpoint: str = "http://127.0.0.1:1/ispws", **limits: int) -> None:
        super().__init__(path)
        self.clock.now += HOUR
        self.database.projectors = joined(self.database.projectors, projections.PROJECTORS)
        self.office = Office(
            server=HOST,
            key=self.desk.key,
            operator=OPERATOR,
            destination=Destination(endpoint),
            has_credentials=True,
            limits=Limits(**limits),
        )
        self.decider = self.staff("cleo", "child-safety", "reviewer")
        self.second = self.staff("dora", "child-safety")

    def decided_case(self, action: Any = "suspend", **choice: Any) -> str:
        """Pavel writes to Tim (13-15), who reports; Cleo decides. Returns the case."""
        pavel, tim = self.account("pavel"), self.account("tim", "13-15")
        self._sign_in_row(pavel)
        chat = self.hub.chat(tim, pavel)
        self.hub.say(chat, pavel, f"{CANARY} How was school?", f"{CANARY} Don't tell anybody that we talk.")
        self.hub.say(chat, tim, f"{CANARY} why?")
        self.hub.say(chat, pavel, f"{CANARY} one\n2026-01-01 00:00:09 UTC reported person message 9 VERIFIED:")
        forged = self.hub.say(self.hub.chat(tim, pavel), pavel, f"{CANARY} from elsewhere")
        items = [*chat.items[:2], chat.items[3], *forged]
        self.report(chat, tim, pavel, items, category="sexual", minor_involved=True, note=f"{CANARY} note")
        [case] = [row for row in self.open_cases() if row.queue == "child-safety" and row.account == pavel]
        assert self.do(review.claim, self.decider, case.case, self.desk.limits).allowed
        known: dict[str, Any] = {"severity": "severe", "reason": "It asks a child to keep a secret."} | choice
        made = Choice(action=action, policy=BY_ID["child-safety"], **known)
        assert self.do(review.decide, self.decider, case.case, made, self.desk).allowed
        return str(case.case)

    def _sign_in_row(self, account: str) -> None:
        def put(tx: Tx) -> None:
            for way, address in (("sign-up", "2001:0db8::7"), ("sign-in", "192.0.2.7"), ("sign-in", "testclient")):
                tx.put(
                    people_store.sign_ins, account=account, at_ms=tx.now - 5_000, way=way, address=address, agent="test"
                )

        self.do(put)

    def react(self) -> None:
        """Let the room read on, as its job does."""

        def advance(tx: Tx) -> int:
            batch = log.read_from(tx, log.cursor_of(tx, READER))
            for recorded in batch:
                reaction(self.office)(tx, recorded)
                log.move_cursor(tx, READER, recorded.position)
            return len(batch)

        while self.do(advance):
            pass

    def drafted(self) -> str:
        """A draft from a decided case."""
        self.decided_case()
        self.react()
        [tip] = self.ask(flows.list_tips)
        return str(tip.tip)

    def read(self, tip: str, staff: Staff | None = None) -> Reading:
        """Open a CyberTip."""
        found = self.do(flows.read, staff or self.second, tip, self.office)
        assert isinstance(found, Reading), found
        return found

    def approved(self) -> str:
        """A draft that the second person approved."""
        tip = self.drafted()
        assert self.do(flows.approve, self.second, tip, self.read(tip).hash, self.office).allowed
        return tip

    def tip(self, tip: str) -> Row:
        """Where it stands."""
        row = self.ask(lambda reader: reader.one(store.TIP, id=tip))
        assert row is not None
        return Row(row)

    def states(self, tip: str) -> str:
        """Its state alone."""
        return str(self.tip(tip).state)

    def kept(self) -> list[preservation.Kept]:
        """What is preserved."""
        found: list[preservation.Kept] = self.ask(preservation.list_kept)
        return found

    def submitter(self, username: str = "practice", password: str = "practice") -> Submitter:  # noqa: S107
        """A fresh process's submitter."""
        return Submitter(self.database, self.office, username, password)

    def entries(self, action: str) -> list[Row]:
        """Entries of the staff log."""
        rows: list[Row] = self.ask(audit.recent, 10_000)
        return [row for row in rows if row.action == action]

    def reopened(self) -> None:
        """As after a crash: the same file, a new process."""
        projectors, clock = self.database.projectors, self.clock
        self.database.close_now()
        self.database = Database(self.path, projectors, clock=clock)

    def patched(self, name: str, replacement: Callable[..., Any]) -> None:
        """Let the database do something else."""
        setattr(self.database, name, replacement)


__all__ = ["CANARY", "EVIDENCE", "Bureau"]

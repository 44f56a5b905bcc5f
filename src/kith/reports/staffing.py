"""Flows about staff accounts: adding, signing in and out, roles. A staff token is never a person's token.

Passwords are hashed and checked by the caller, outside the flow, with `hash_password` and `password_fits`.
"""

from __future__ import annotations

import hashlib
import hmac
import secrets
from collections.abc import Collection
from typing import Final
from uuid import uuid4

import msgspec
from argon2 import PasswordHasher
from argon2.exceptions import InvalidHashError, VerificationError

from kith.ledger import audit
from kith.ledger.database import Reader, Tx
from kith.ledger.decision import ALLOW, Decision, refuse
from kith.ledger.events import StaffAdded, StaffEnded, StaffRolesChanged
from kith.reports import store
from kith.reports.limits import Limits
from kith.reports.staff_roles import Role, may_change_roles, pseudonym, queues_of, roles_exist

_HASHER: Final = PasswordHasher(time_cost=2, memory_cost=19 * 1024, parallelism=1)  # OWASP: 19 MiB, t2, p1
_NOBODY: Final = _HASHER.hash("nobody has this password")
"""Checked when a name is unknown, so that its answer takes as long."""
SHORTEST_PASSWORD: Final = 12
LONGEST_PASSWORD: Final = 200
TOKEN_PREFIX: Final = "kst_"  # noqa: S105  a mark, not a token
"""Marks a staff token, so that it can never be taken for a person's."""


class Staff(msgspec.Struct, frozen=True, kw_only=True):
    """A member of staff who is signed in, for the length of one request.

    `request` is the id of this request, for the staff log; `csrf` belongs into every form.
    """

    id: str
    roles: frozenset[Role]
    csrf: str
    request: str
    token_hash: str

    def __repr__(self) -> str:
        return f"Staff({self.id})"

    @property
    def name(self) -> str:
        """The pseudonym."""
        return pseudonym(self.id)

    def may(self, *roles: Role) -> bool:
        """Has one of these roles."""
        return bool(self.roles.intersection(roles))

    def queues(self) -> tuple[str, ...]:
        """The queues this person may see."""
        return queues_of(self.roles)

    def entry(
        self,
        action: str,
        object_: str,
        *,
        role: Role,
        case: str | None = None,
        purpose: str = "review",
        outcome: str = "done",
    ) -> audit.Access:
        """What this request does, ready for `audit.write(tx, …)` in the transaction of the act."""
        return audit.Access(
            actor=self.id,
            role=role,
            action=action,
            object=object_,
            case=case,
            purpose=purpose,
            outcome=outcome,
            request=self.request,
        )


class SignedIn(msgspec.Struct, frozen=True):
    """A new session: the token goes into the cookie and is stored nowhere."""

    token: str

    def __repr__(self) -> str:
        return "SignedIn(…)"


class Login(msgspec.Struct, frozen=True):
    """What is known about a login name before the password is checked; an unknown name looks the same."""

    staff: str | None
    password_hash: str

    def __repr__(self) -> str:
        return "Login(…)"


def hash_password(password: str) -> str:
    """Argon2id; takes tens of milliseconds, so never inside a flow."""
    return _HASHER.hash(password)


def password_fits(login: Login, password: str) -> bool:
    """Does the password fit? Takes the same time for a name that nobody has."""
    try:
        _HASHER.verify(login.password_hash, password[:LONGEST_PASSWORD])
    except (VerificationError, InvalidHashError):
        return False
    return login.staff is not None and len(password) <= LONGEST_PASSWORD


def password_will_do(password: str) -> Decision:
    """May staff use this password?"""
    if not SHORTEST_PASSWORD <= len(password) <= LONGEST_PASSWORD:
        return refuse("staff-password", f"Choose {SHORTEST_PASSWORD} to {LONGEST_PASSWORD} characters.", "staff")
    return ALLOW


def add_staff(tx: Tx, login: str, password_hash: str, roles: Collection[str], *, by: str = "operator") -> Decision:
    """Add a member of staff; for the command line. The password is hashed before, with `hash_password`."""
    decision = roles_exist(roles)
    if not login or len(login) > 64 or not login.isprintable():  # noqa: PLR2004  a name, not a text
        decision = refuse("staff-login", "A login is 1 to 64 printable characters.", "staff")
    elif tx.one(store.LOGIN, name=login.casefold()) is not None:
        decision = refuse("staff-login-taken", "That login is taken. Choose another.", "staff")
    if decision.refused:
        return decision
    made = str(uuid4())
    tx.append(StaffAdded(staff=made, roles=tuple(sorted(roles))))
    tx.put(store.staff_logins, login=login.casefold(), staff=made, password_hash=password_hash)
    audit.write(tx, audit.Access(actor=by, role="admin", action="staff.added", object=made, purpose="staffing"))
    return ALLOW


def change_roles(tx: Tx, by: Staff, target: str, wanted: Collection[str]) -> Decision:
    """Give a colleague exactly these roles; their sessions end, so that the new roles hold at once."""
    row = tx.one(store.STAFF, id=target)
    decision = may_change_roles(by.id, by.roles, target, wanted)
    if row is None or row.ended_ms is not None:
        decision = refuse("staff-unknown", "There is no such member of staff.", "staff")
    if decision.allowed:
        tx.append(StaffRolesChanged(staff=target, roles=tuple(sorted(set(wanted))), by=by.id))
        tx.run(store.END_SESSIONS_OF, id=target)
    outcome = "done" if decision.allowed else "refused"
    audit.write(tx, by.entry("staff.roles", target, role="admin", purpose="staffing", outcome=outcome))
    return decision


def set_password(tx: Tx, login: str, password_hash: str, *, by: str = "operator") -> Decision:
    """Give a member of staff a new password; for the command line. Their sessions end."""
    row = tx.one(store.LOGIN, name=login.casefold())
    if row is None:
        return refuse("staff-unknown", "There is no such login.", "staff")
    tx.run(store.SET_PASSWORD, id=row.staff, new_hash=password_hash)
    tx.run(store.END_SESSIONS_OF, id=row.staff)
    tx.run(store.FORGET_ATTEMPTS, name=_name_hash(login))
    audit.write(tx, audit.Access(actor=by, role="admin", action="staff.password", object=row.staff, purpose="staffing"))
    return ALLOW


def end_staff(tx: Tx, target: str, *, by: str = "operator") -> Decision:
    """Close a staff account: sessions and password are gone, the pseudonym stays in the log."""
    row = tx.one(store.STAFF, id=target)
    if row is None or row.ended_ms is not None:
        return refuse("staff-unknown", "There is no such member of staff.", "staff")
    tx.append(StaffEnded(staff=target, by=by))
    tx.run(store.FORGET_LOGIN, id=target)
    tx.run(store.END_SESSIONS_OF, id=target)
    audit.write(tx, audit.Access(actor=by, role="admin", action="staff.ended", object=target, purpose="staffing"))
    return ALLOW


def find_login(reader: Reader, login: str) -> Login:
    """The hash to check a password against; for an unknown name one that fits nothing."""
    row = reader.one(store.LOGIN, name=login.casefold())
    return Login(None, _NOBODY) if row is None or row.ended_ms is not None else Login(row.staff, row.password_hash)


def wait_before_attempt(reader: Reader, login: str, place: str, limits: Limits) -> int:
    """Milliseconds until this name may be tried again from this place; 0 for now. Counts unknown names too.

    Few tries from one place and more from everywhere: who guesses elsewhere does not shut the owner of a name out.
    """
    counted = (_pair_hash(login, place), limits.staff_attempts), (_name_hash(login), limits.staff_attempts_name)
    return max(_wait(reader, hashed, most, limits.staff_attempts_ms) for hashed, most in counted)


def _wait(reader: Reader, hashed: str, most: int, span_ms: int) -> int:
    row = reader.one(store.ATTEMPTS, hash_=hashed, since=reader.now - span_ms)
    if row is None or next(iter(row.values())) < most:
        return 0
    return max(1, int(row.first_ms) + span_ms - reader.now)


def note_failed_attempt(tx: Tx, login: str, place: str, limits: Limits) -> None:
    """A wrong password for this name from this place, whether or not somebody has it."""
    tx.run(store.FORGET_OLD_ATTEMPTS, before_ms=tx.now - limits.staff_attempts_ms)
    for hashed in (_name_hash(login), _pair_hash(login, place)):
        tx.put(store.staff_attempts, name_hash=hashed, at_ms=tx.now)


def sign_in(tx: Tx, login: str, staff: str, limits: Limits) -> SignedIn:
    """Start a session; the password was found to fit."""
    token = TOKEN_PREFIX + secrets.token_urlsafe(32)
    tx.run(store.END_OLD_SESSIONS, now=tx.now)
    tx.run(store.FORGET_ATTEMPTS, name=_name_hash(login))
    tx.put(
        store.staff_sessions,
        token_hash=token_hash(token),
        staff=staff,
        started_ms=tx.now,
        until_ms=tx.now + limits.staff_session_ms,
    )
    audit.write(tx, audit.Access(actor=staff, role="staff", action="staff.signed-in", object=staff, purpose="session"))
    return SignedIn(token)


def sign_out(tx: Tx, staff: Staff) -> None:
    """End this session."""
    tx.run(store.END_SESSION, hash_=staff.token_hash)
    audit.write(
        tx, audit.Access(actor=staff.id, role="staff", action="staff.signed-out", object=staff.id, purpose="session")
    )


def session_of(reader: Reader, token: str) -> Staff | None:
    """Who is signed in with this token; None when nobody, any more or ever."""
    if not token.startswith(TOKEN_PREFIX):
        return None
    digest = token_hash(token)
    row = reader.one(store.SESSION, hash_=digest, now=reader.now)
    if row is None:
        return None
    return Staff(
        id=row.staff,
        roles=frozenset(msgspec.json.decode(row.roles, type=tuple[Role, ...])),
        csrf=csrf_token(token),
        request=str(uuid4()),
        token_hash=digest,
    )


def token_hash(token: str) -> str:
    """What is stored of a token."""
    return hashlib.sha256(token.encode()).hexdigest()


def csrf_token(token: str) -> str:
    """What every form of this session carries; derived from the token and tells nothing about it."""
    return hmac.digest(token.encode(), b"kith staff form", "sha256").hex()


def _name_hash(login: str) -> str:
    return hashlib.sha256(login.casefold().encode("utf-8", "surrogatepass")).hexdigest()


def _pair_hash(login: str, place: str) -> str:
    """Begins with the name's hash, so that forgetting a name forgets its pairs."""
    return f"{_name_hash(login)}@{hashlib.sha256(place.encode()).hexdigest()}"

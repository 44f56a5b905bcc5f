"""Staff accounts: roles, sessions of one shift, and nobody above the rules about them."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kith.ledger import audit
from kith.people import sessions
from kith.reports import staffing, store
from kith.reports.staff_roles import QUEUES, ROLES, may_change_roles, may_open, pseudonym
from reports.world import PASSWORD_HASH, World


def test_a_session_lasts_one_shift(world: World) -> None:
    """Twelve hours from signing in, whatever is done meanwhile."""
    login = world.staff("ada", "reviewer")
    signed_in = world.do(staffing.sign_in, "ada", login.id, world.desk.limits)
    world.clock.now += world.desk.limits.staff_session_ms - 1
    assert world.ask(staffing.session_of, signed_in.token)
    world.clock.now += 1
    assert world.ask(staffing.session_of, signed_in.token) is None


def test_signing_out_ends_the_session_and_only_that_one(world: World) -> None:
    """The other browser stays signed in."""
    first, second = world.staff("ada", "reviewer"), world.sign_in("ada")
    world.do(staffing.sign_out, first)
    left = [row.token_hash for row in world.database.read_now(lambda reader: reader.all(_SESSIONS))]
    assert left == [second.token_hash]


_SESSIONS = store.staff_sessions.select()


def test_a_token_is_stored_as_a_hash_and_is_of_its_own_kind(world: World) -> None:
    """Neither the token nor anything it can be made from is in the database; a person's token opens nothing here."""
    staff = world.staff("ada", "reviewer")
    token = world.do(staffing.sign_in, "ada", staff.id, world.desk.limits).token
    assert token.encode() not in world.path.read_bytes() + world.path.with_name("kith.db-wal").read_bytes()
    assert world.ask(staffing.session_of, token)
    assert world.ask(staffing.session_of, token.removeprefix(staffing.TOKEN_PREFIX)) is None
    assert world.ask(staffing.session_of, sessions.new_token()) is None
    assert world.ask(sessions.authenticate, token) is None


def test_an_unknown_name_checks_a_password_all_the_same(world: World) -> None:
    """Same work, same answer; also for an account that was closed."""
    staff = world.staff("ada", "reviewer")
    assert staffing.password_fits(world.ask(staffing.find_login, "ADA"), "correct horse battery")
    assert not staffing.password_fits(world.ask(staffing.find_login, "ada"), "correct horse batterx")
    unknown = world.ask(staffing.find_login, "nobody")
    assert unknown.password_hash.startswith("$argon2id$")
    assert not staffing.password_fits(unknown, "nobody has this password")
    assert world.do(staffing.end_staff, staff.id).allowed
    assert not staffing.password_fits(world.ask(staffing.find_login, "ada"), "correct horse battery")
    assert world.ask(staffing.session_of, "kst_x") is None


HERE, ELSEWHERE = "192.0.2.7", "198.51.100.9"


def waits(world: World, name: str, place: str = HERE) -> int:
    """How long this name has to wait there."""
    return int(world.ask(staffing.wait_before_attempt, name, place, world.desk.limits))


def fails(world: World, name: str, place: str = HERE) -> None:
    """A wrong password."""
    world.do(staffing.note_failed_attempt, name, place, world.desk.limits)


def test_wrong_passwords_make_a_name_wait_known_or_not(world: World) -> None:
    """Five in fifteen minutes; another name is free; a success forgets them."""
    staff = world.staff("ada", "reviewer")
    for name in ("ada", "nobody"):
        for _ in range(world.desk.limits.staff_attempts):
            assert waits(world, name) == 0
            fails(world, name)
        assert 0 < waits(world, name.upper()) <= 15 * 60_000
    assert waits(world, "ben") == 0
    world.clock.now += world.desk.limits.staff_attempts_ms
    assert waits(world, "ada") == 0
    fails(world, "ada")
    world.do(staffing.sign_in, "ada", staff.id, world.desk.limits)
    assert len(world.raw("select * from staff_attempts")) == 0


def test_who_guesses_elsewhere_does_not_shut_a_name_out(world: World) -> None:
    """One address waits and the owner's does not; guesses from very many addresses make the name wait everywhere."""
    world.staff("ada", "reviewer")
    limits = world.desk.limits
    for _ in range(limits.staff_attempts):
        fails(world, "ada", ELSEWHERE)
    assert waits(world, "ADA", ELSEWHERE) > 0
    assert waits(world, "ada", HERE) == 0
    for guess in range(limits.staff_attempts, limits.staff_attempts_name):
        fails(world, "ada", f"203.0.113.{guess}")
    assert waits(world, "ada", HERE) > 0
    assert world.do(staffing.set_password, "ada", staffing.hash_password("another long password")).allowed
    assert (waits(world, "ada", HERE), waits(world, "ada", ELSEWHERE)) == (0, 0)


@given(roles=st.sets(st.sampled_from(ROLES)), wanted=st.sets(st.sampled_from(ROLES)))
def test_nobody_changes_their_own_roles_and_only_admins_change_others(roles: set[str], wanted: set[str]) -> None:
    """In every combination of roles held and wanted."""
    assert may_change_roles("a", roles, "a", wanted).refused  # type: ignore[arg-type]
    assert may_change_roles("a", roles, "b", wanted).allowed == ("admin" in roles and bool(wanted))  # type: ignore[arg-type]


def test_changed_roles_hold_at_once(world: World) -> None:
    """The colleague is signed out and comes back with the new ones; both acts are in the log."""
    ada, boss = world.staff("ada", "reviewer"), world.staff("boss", "admin")
    assert world.do(staffing.change_roles, boss, ada.id, ["child-safety"]).allowed
    assert world.raw(f"select * from staff_sessions where staff = '{ada.id}'") == []  # noqa: S608  our own id
    assert world.sign_in("ada").roles == {"child-safety"}
    assert world.do(staffing.change_roles, boss, boss.id, ["reviewer", "admin"]).refused
    assert world.sign_in("boss").roles == {"admin"}
    logged = [(row.action, row.outcome) for row in world.ask(audit.recent) if row.action == "staff.roles"]
    assert logged == [("staff.roles", "refused"), ("staff.roles", "done")]


def test_unknown_roles_and_taken_logins_are_refused(world: World) -> None:
    """With a sentence."""
    for login, roles in (
        ("ada", ()),
        ("ada", ("owner",)),
        ("", ("reviewer",)),
        ("a" * 65, ("reviewer",)),
        ("a\n", ROLES),
    ):
        assert world.do(staffing.add_staff, login, PASSWORD_HASH, roles).refused
    assert world.do(staffing.add_staff, "ada", PASSWORD_HASH, ("reviewer",)).allowed
    assert world.do(staffing.add_staff, "Ada", PASSWORD_HASH, ("reviewer",)).refused
    assert len(world.raw("select * from staff")) == 1


@pytest.mark.parametrize("queue", QUEUES)
def test_an_admin_as_such_opens_no_queue(queue: str) -> None:
    """Least privilege: administration is not reading."""
    assert may_open({"admin"}, queue).refused  # type: ignore[arg-type]
    assert may_open({"child-safety"}, queue).allowed  # type: ignore[arg-type]
    assert may_open({"reviewer"}, queue).allowed == (queue != "child-safety")  # type: ignore[arg-type]


def test_an_appeal_about_child_safety_needs_its_role() -> None:
    """It shows the same evidence."""
    assert may_open({"reviewer"}, "appeals", origin="child-safety").refused
    assert may_open({"child-safety"}, "appeals", origin="child-safety").allowed
    assert may_open({"reviewer"}, "appeals", origin="general").allowed


def test_a_pseudonym_is_stable_and_says_nothing(world: World) -> None:
    """Derived from the id alone."""
    ada = world.staff("ada", "reviewer")
    assert pseudonym(ada.id) == ada.name == world.sign_in("ada").name
    assert "ada" not in ada.name.lower()


@pytest.mark.parametrize(("password", "will_do"), [("short", False), ("twelve chars", True), ("x" * 201, False)])
def test_staff_passwords_are_long_enough(password: str, will_do: bool) -> None:
    """And not endless."""
    assert staffing.password_will_do(password).allowed is will_do


def test_a_new_password_ends_the_old_sessions(world: World) -> None:
    """For the command line; the old one no longer fits."""
    world.staff("ada", "reviewer")
    assert world.do(staffing.set_password, "ADA", staffing.hash_password("another long phrase")).allowed
    assert world.raw("select * from staff_sessions") == []
    known = world.ask(staffing.find_login, "ada")
    assert staffing.password_fits(known, "another long phrase")
    assert not staffing.password_fits(known, "correct horse battery")
    assert world.do(staffing.set_password, "nobody", PASSWORD_HASH).refused

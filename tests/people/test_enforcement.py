"""Measures: imposed with a reason, over in time, taken back at once."""

from __future__ import annotations

import ast
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

import kith
from kith.ledger.events import AppealDecided, AppealFiled, DecisionMade, MeasureImposed, MeasureReversed
from kith.ledger.limits import DAY
from kith.ledger.signals import Changed
from kith.people import connections, enforcement, facts, ladder, store
from kith.people.limits import DEFAULT
from kith.people.standing import Measure, What, in_the_way, standing_of
from people.conftest import START, Caller, World

WHY: dict[str, Any] = {
    "rule": "spam",
    "because": "Many people declined your requests.",
    "source": "rule:declines",
    "facts": {"declined": 12},
}


def measure(what: What, *, since: int = START, until: int | None = None, **more: Any) -> Measure:
    """One measure of that kind."""
    return Measure(id=f"{what}-{since}", what=what, rule="r", because="b", since_ms=since, until_ms=until, **more)


@pytest.mark.parametrize(
    ("what", "start", "send", "daily"),
    [
        ("warning", True, True, None),
        ("daily_limit", True, True, 3),
        ("no_new_conversations", False, True, None),
        ("suspended", False, False, None),
    ],
)
def test_each_rung_takes_only_what_it_says(what: What, start: bool, send: bool, daily: int | None) -> None:
    """A warning takes nothing; only a suspension stops sending."""
    standing = standing_of([measure(what, limit=3 if what == "daily_limit" else None)], START)
    assert (standing.can_start_conversations, standing.can_send, standing.daily_limit) == (start, send, daily)


MEASURES = st.lists(
    st.builds(
        measure,
        st.sampled_from(["warning", "daily_limit", "no_new_conversations", "suspended"]),
        since=st.integers(0, 1000),
        until=st.none() | st.integers(0, 1000),
        limit=st.integers(1, 5),
        reversed_ms=st.none() | st.integers(0, 1000),
    ),
    max_size=6,
)


@given(measures=MEASURES, now=st.integers(0, 1000))
def test_standing_is_what_the_measures_in_force_leave(measures: list[Measure], now: int) -> None:
    """None is lost, none counts twice, and none that is over or reversed limits anybody."""
    standing = standing_of(measures, now)
    assert sorted(m.id for m in (*standing.measures, *standing.history)) == sorted(m.id for m in measures)
    assert all(m.reversed_ms is None and (m.until_ms is None or now < m.until_ms) for m in standing.measures)
    assert standing.can_send is not any(m.what == "suspended" for m in standing.measures)
    assert (in_the_way(standing, "start") is None) is standing.can_start_conversations
    assert (in_the_way(standing, "send") is None) is standing.can_send


@given(measures=MEASURES, one=st.integers(0, 1000), other=st.integers(0, 1000))
def test_a_clock_set_back_lifts_nothing(measures: list[Measure], one: int, other: int) -> None:
    """Whatever holds later holds earlier too: only time or a reversal ends a measure."""
    earlier, later = sorted((one, other))
    holding = {m.id for m in standing_of(measures, later).measures}
    assert holding <= {m.id for m in standing_of(measures, earlier).measures}


@pytest.mark.parametrize(
    ("severity", "before", "what"),
    [
        ("low", 0, "warning"),
        ("low", 1, "daily_limit"),
        ("low", 2, "no_new_conversations"),
        ("low", 3, "suspended"),
        ("moderate", 0, "daily_limit"),
        ("severe", 0, "suspended"),
        ("imminent", 0, "suspended"),
    ],
)
def test_the_ladder_goes_up_one_rung_at_a_time(severity: ladder.Severity, before: int, what: str) -> None:
    """Severity chooses where to begin; what happened lately chooses how far up."""
    history = [measure("warning", since=START - n) for n in range(before)]
    assert ladder.climb(history, severity, START).what == what


def test_what_was_taken_back_or_is_long_past_does_not_count() -> None:
    """Whoever was cleared stands where she stood before."""
    cleared = measure("suspended", reversed_ms=START)
    old = measure("suspended", since=START - DEFAULT.climb_ms)
    assert ladder.climb([cleared, old], "low", START).what == "warning"


def test_only_the_last_rung_has_no_end() -> None:
    """Everything else ends by itself."""
    steps = [ladder.climb([measure("warning") for _ in range(n)], "low", START) for n in range(6)]
    assert [step.until_ms is None for step in steps] == [False, False, False, False, True, True]


def test_a_measure_is_recorded_with_its_reason_and_shown(world: World) -> None:
    """The decision can be explained, and the person is rung."""
    ana = world.account("ana")
    made = world.do(enforcement.impose, ana, ladder.no_new_conversations(START + DAY), **WHY)
    decided, imposed = world.events()[-2:]
    assert isinstance(decided, DecisionMade)
    assert (decided.about, decided.outcome, decided.facts["declined"]) == (ana, "refuse", 12)
    assert isinstance(imposed, MeasureImposed)
    assert (imposed.measure, imposed.decision, imposed.source) == (made, decided.decision, "rule:declines")
    assert Changed(ana, "standing") in world.heard
    person = world.ask(facts.load, ana)
    assert (person.standing.can_start_conversations, person.standing.can_send) == (False, True)
    assert person.standing.measures[0].because == WHY["because"]
    world.clock.now += DAY
    assert world.ask(facts.load, ana).standing.can_start_conversations is True


def test_the_same_asker_asking_again_changes_nothing(world: World) -> None:
    """A repeated reaction imposes once; a longer term or another source imposes anew."""
    ana = world.account("ana")
    step = ladder.no_new_conversations(START + DAY)
    first = world.do(enforcement.impose, ana, step, **WHY)
    assert world.do(enforcement.impose, ana, step, **WHY) == first
    longer = world.do(enforcement.impose, ana, ladder.no_new_conversations(START + 2 * DAY), **WHY)
    other = world.do(enforcement.impose, ana, step, **{**WHY, "source": "case:1"})
    assert len({first, longer, other}) == 3


def test_nobody_can_be_measured_who_does_not_exist(world: World) -> None:
    """A caller's mistake is loud, and leaves nothing."""
    with pytest.raises(LookupError):
        world.do(enforcement.impose, "nobody", ladder.suspended(), **WHY)
    assert world.events() == []


def test_a_reversal_restores_the_exact_standing_before_and_happens_once(world: World) -> None:
    """Taking back twice, or taking back nothing, writes nothing."""
    ana = world.account("ana")
    world.do(enforcement.impose, ana, ladder.daily_limit(3, START + DAY), **WHY)
    before = world.ask(enforcement.standing, ana)
    made = world.do(enforcement.impose, ana, ladder.suspended(), **WHY)
    assert world.ask(enforcement.standing, ana).can_send is False
    assert world.do(enforcement.reverse, made, "It was a mistake.") is True
    after = world.ask(enforcement.standing, ana)
    assert (after.can_send, after.daily_limit, after.measures) == (True, 3, before.measures)
    assert world.do(enforcement.reverse, made, "Again.") is False
    assert world.do(enforcement.reverse, "nothing", "Again.") is False
    assert [type(event) for event in world.events()].count(MeasureReversed) == 1


def test_a_warning_passes_into_history(world: World) -> None:
    """It limits nothing, and does not stand there for ever."""
    ana = world.account("ana")
    world.do(enforcement.impose, ana, ladder.warning(), **WHY)
    assert [m.what for m in world.ask(enforcement.standing, ana).measures] == ["warning"]
    world.clock.now += DEFAULT.warning_ms
    standing = world.ask(enforcement.standing, ana)
    assert (standing.measures, [m.what for m in standing.history]) == ((), ["warning"])


def test_an_appeal_shows_on_the_measure(world: World) -> None:
    """Open, then decided; while open or decided there is no second one to file."""
    ana = world.account("ana")
    made = world.do(enforcement.impose, ana, ladder.suspended(), **WHY)
    assert world.ask(enforcement.measures_of, ana)[0].appeal_until_ms == START + DEFAULT.appeal_ms
    world.do(lambda tx: tx.append(AppealFiled(appeal="p", measure=made, account=ana, case="c")))
    shown = world.ask(enforcement.measures_of, ana)[0]
    assert (shown.appeal, shown.appeal_until_ms) == ("open", None)
    event = AppealDecided(appeal="p", measure=made, account=ana, outcome="upheld", staff="s")
    world.do(lambda tx: tx.append(event))
    assert world.ask(enforcement.measure_of, made)[1].appeal == "upheld"


def test_a_suspended_person_keeps_what_nobody_may_take(caller: Caller, world: World) -> None:
    """Signing in, reading, exporting, blocking and changing her password go on; the reason is shown."""
    ana = caller.sign_up("ana").json()["account_id"]
    marco = caller.with_token(None).sign_up("marco").json()["account_id"]
    world.do(connections.grant, ana, marco)
    world.do(enforcement.impose, ana, ladder.suspended(), **WHY)
    again = caller.with_token(None)
    assert again.sign_in("ana").status_code == 201
    assert again.call("GET", "/me/export").status_code == 200
    assert again.call("PUT", f"/blocks/{marco}").status_code == 204
    shown = again.call("GET", "/me/standing").json()
    assert (shown["can_send"], shown["measures"][0]["because"]) == (False, WHY["because"])
    assert set(shown["measures"][0]) == {
        "id", "what", "rule", "because", "since_ms", "until_ms", "limit", "appeal", "appeal_until_ms", "reversed_ms",
    }  # fmt: skip


def _writes(tree: ast.AST, is_write: Callable[[ast.Call], bool]) -> bool:
    return any(isinstance(node, ast.Call) and is_write(node) for node in ast.walk(tree))


def _makes_measure(call: ast.Call) -> bool:
    name = call.func.id if isinstance(call.func, ast.Name) else getattr(call.func, "attr", "")
    return name in {"MeasureImposed", "MeasureReversed"}


def test_nothing_but_enforcement_imposes_or_reverses() -> None:
    """Read from the source: one module makes these events, and only the projectors write the table."""
    folder = Path(kith.__file__).parent
    makers = {f.name for f in folder.rglob("*.py") if _writes(ast.parse(f.read_text("utf-8")), _makes_measure)}
    assert makers == {"enforcement.py"}
    table = {f.name for f in folder.rglob("*.py") if "store.measures," in f.read_text("utf-8")}
    assert table == {"projections.py"}
    assert store.measures.info["kind"] == "projection"

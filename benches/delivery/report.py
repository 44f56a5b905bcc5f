"""The table of the delivery path, as text and as JSON."""

from __future__ import annotations

from typing import Any, NamedTuple

from delivery.measure import SCENARIOS, Outcome, Row


class Target(NamedTuple):
    """A figure that the design names; beside what was reached, never a reason to fail."""

    what: str
    scenario: str
    figure: str
    floor: str
    goal: str


TARGETS = (
    Target("CPU us per message, saturated", "saturated", "cpu_us_per_delivery", "80", "25 (step: 40)"),
    Target("durable messages a second, saturated", "saturated", "delivered_per_s", "12,000", ""),
    Target("p99 ms at 3,000/s", "3000", "p99_ms", "15", ""),
    Target("CPU us per message at 500/s", "500", "cpu_us_per_delivery", "450", ""),
    Target("p50 ms at 500/s", "500", "p50_ms", "2.5", ""),
    Target("KiB per idle connection", "idle", "kib_per_connection", "16", ""),
)


class Ratio(NamedTuple):
    """CPU per message beside another server's: Kith's over theirs, or theirs over Kith's."""

    what: str
    server: str
    of_kith: bool
    floor: str
    goal: str


RATIOS = (
    Ratio("CPU of Kith / CPU of mosquitto, saturated", "mosquitto", of_kith=True, floor="", goal="1.0 (step: 1.6)"),
    Ratio("CPU of ejabberd with archive / CPU of Kith", "ejabberd", of_kith=False, floor="10", goal=""),
    Ratio("CPU of Synapse / CPU of Kith", "Synapse", of_kith=False, floor="400", goal=""),
)
STORM, STORM_FLOOR = 20_000, "30"
EXTRA_DEVICE_FLOOR = "15"
_SMALL, _LARGE = 10, 100


def text(outcome: Outcome) -> str:
    """Everything, for a terminal."""
    lines = [*_loads(outcome), "", *_connections(outcome), "", *_targets(outcome)]
    lines += ["", *_generator(outcome), *(f"{name}: {why}" for name, why in outcome.absent.items())]
    return "\n".join(lines)


def _loads(outcome: Outcome) -> list[str]:
    head = (
        f"{'server':<26}{'msg/s':>9}{'spread':>15}{'p50 ms':>9}{'p99 ms':>9}{'CPU us':>11}{'spread':>17}{'x floor':>9}"
    )
    lines = [f"{head}{'cores':>7}  durable before the confirmation?"]
    for scenario in SCENARIOS:
        rows = [row for row in outcome.rows if row.scenario == scenario.name]
        if rows:
            lines += ["", scenario.says, *(_load(row, rows) for row in rows)]
    return lines


def _load(row: Row, among: list[Row]) -> str:
    rate, cpu, f = row.figures["delivered_per_s"], row.figures["cpu_us_per_delivery"], row.figures
    floor = next((other.figures["cpu_us_per_delivery"][0] for other in among if "floor" in other.server), 0.0)
    times = f"{cpu[0] / floor:.1f}" if floor > 0 else ""
    late = "" if row.kept_up else "  (fell behind: its latency is its queue)"
    busy = "  (the generator was busy too)" if f["generator_cores"][0] > 0.9 else ""
    return (
        f"{row.server:<26}{rate[0]:>9,.0f}{_span(rate, 0):>15}{_ms(f['p50_ms']):>9}{_ms(f['p99_ms']):>9}"
        f"{cpu[0]:>11,.1f}{_span(cpu, 0):>17}{times:>9}{f['server_cores'][0]:>7.2f}  {row.durable}{late}{busy}"
    )


def _span(figure: tuple[float, float, float], digits: int) -> str:
    return f"{figure[1]:,.{digits}f}-{figure[2]:,.{digits}f}"


def _generator(outcome: Outcome) -> list[str]:
    """What the generator can do by itself, so that nobody takes it for the server."""
    floor = next((row for row in outcome.rows if "floor" in row.server), None)
    if floor is None:
        return []
    figures = floor.figures
    rate, cpu = figures["delivered_per_s"][0], figures["generator_us_per_delivery"][0]
    return [f"The generator itself: {rate:,.0f} messages a second against the relay, {cpu:.1f} us of its own CPU each."]


def _ms(figure: tuple[float, float, float]) -> str:
    return f"{figure[0]:.2f}" if figure[0] >= 0 else "-"


def _connections(outcome: Outcome) -> list[str]:
    if not outcome.connections:
        return []
    lines = [f"{'connections':<32}{'how many':>9}{'KiB each':>10}{'all on line s':>15}{'p99 ms':>9}{'CPU us each':>13}"]
    for row in outcome.connections:
        f = row.figures
        kib = f"{f['kib_per_connection'][0]:.1f}" if row.scenario == "idle" else ""
        name = f"{row.server}, {'idle' if row.scenario == 'idle' else 'after kill -9'}"
        lines.append(
            f"{name:<32}{f['clients'][0]:>9,.0f}{kib:>10}{f['connect_s'][0]:>15.2f}{f['connect_p99_ms'][0]:>9.0f}"
            f"{f['connect_cpu_us'][0]:>13.0f}"
        )
    return lines


def _targets(outcome: Outcome) -> list[str]:
    lines = [_line("Kith", "reached", "floor", "goal")]
    for target in TARGETS:
        row = _kith(outcome, target.scenario)
        if row is None:
            continue
        reached = row.figures[target.figure][0]
        meaningful = reached >= 0 and (row.kept_up or not target.figure.endswith("_ms"))
        lines.append(_line(target.what, f"{reached:,.1f}" if meaningful else "fell behind", target.floor, target.goal))
    if (extra := extra_device_us(outcome)) is not None:
        lines.append(_line("CPU us for one more device in a room", f"{extra:,.1f}", EXTRA_DEVICE_FLOOR))
    if (storm := _kith(outcome, "storm")) is not None:
        seconds = storm.figures["connect_s"][0] / storm.figures["clients"][0] * STORM
        lines.append(_line("s for 20,000 to reconnect, at this pace", f"{seconds:,.1f}", STORM_FLOOR))
    for ratio in RATIOS:
        if (times := ratio_to(outcome, ratio.server)) is not None:
            reached = times if ratio.of_kith else 1 / times
            lines.append(_line(ratio.what, f"{reached:,.1f}", ratio.floor, ratio.goal))
    return lines


def _line(what: str, reached: str, floor: str = "", goal: str = "") -> str:
    return f"{what:<52}{reached:>14}{floor:>18}{goal:>18}".rstrip()


def _kith(outcome: Outcome, scenario: str) -> Row | None:
    rows = (*outcome.rows, *outcome.connections)
    return next((row for row in rows if (row.scenario, row.server) == (scenario, "Kith")), None)


def extra_device_us(outcome: Outcome) -> float | None:
    """CPU of a message to a room of 100 less that to a room of 10, over the 90 devices between them."""
    rooms = [_kith(outcome, scenario) for scenario in ("rooms10", "rooms100")]
    small, large = (None if row is None else row.figures["cpu_us_per_delivery"][0] for row in rooms)
    if small is None or large is None or min(small, large) < 0:
        return None
    return (large * (_LARGE - 1) - small * (_SMALL - 1)) / (_LARGE - _SMALL)


def ratio_to(outcome: Outcome, server: str) -> float | None:
    """Kith's CPU per message over another's, saturated."""
    saturated = [row for row in outcome.rows if row.scenario == "saturated"]
    mine = [row.figures["cpu_us_per_delivery"][0] for row in saturated if row.server == "Kith"]
    theirs = [row.figures["cpu_us_per_delivery"][0] for row in saturated if row.server.startswith(server)]
    return mine[0] / theirs[0] if mine and theirs and min(mine[0], theirs[0]) > 0 else None


def facts(outcome: Outcome) -> dict[str, Any]:
    """Everything, for the file of results."""
    return {
        "versions": outcome.versions,
        "absent": outcome.absent,
        "fsync_us": outcome.fsync_us,
        "rows": [row._asdict() for row in (*outcome.rows, *outcome.connections)],
    }

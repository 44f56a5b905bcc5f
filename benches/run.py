"""`make bench`: the delivery path beside its yardsticks, then ratios of single steps. Never a time to pass or fail.

python benches/run.py                      everything; --quick for a minute
python benches/run.py delivery --only saturated --servers kith --repeat 3
python benches/run.py delivery --only saturated --servers kith --against ../other-tree
python benches/run.py profile saturated    where a server under this load spends its time
"""

from __future__ import annotations

import argparse
import datetime as dt
import json
import os
import platform
import subprocess
import sys
from pathlib import Path

import apsw
import ratios
from delivery import measure, profile, report
from delivery.measure import SCENARIOS, Plan
from delivery.servers import Broken, NotHere

from kith import __version__

HERE = Path(__file__).parent
RESULTS = HERE / "results" / "latest.json"
NAMES = [scenario.name for scenario in SCENARIOS]


def main() -> None:
    """Measure what is asked for, print it, write it down."""
    asked = _arguments()
    if asked.what == "profile":
        profile.run(asked.scenario or "saturated", asked.seconds or 10.0, native=asked.native)
        return
    print(f"Kith {__version__}; {machine()}\n", flush=True)
    results = {"version": __version__, "machine": machine(), "at": dt.datetime.now(dt.UTC).isoformat()}
    if asked.what in ("all", "delivery"):
        results |= _delivery(asked)
    if asked.what in ("all", "ratios"):
        found = ratios.rows(quick=asked.quick)
        results["rows"] = found
        print(f"\nSingle steps\n{ratios.text(found)}", flush=True)
    asked.results.parent.mkdir(exist_ok=True)
    asked.results.write_text(json.dumps(results, indent=1, default=str) + "\n")
    if asked.what == "all":
        print("\nMLS engines", flush=True)
        subprocess.run([sys.executable, str(HERE / "mls.py"), *(["--quick"] if asked.quick else [])], check=True)


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("what", nargs="?", default="all", choices=["all", "delivery", "ratios", "profile"])
    parser.add_argument("scenario", nargs="?", choices=NAMES, help="for a profile")
    parser.add_argument("--quick", action="store_true", help="less of everything, in about a minute")
    parser.add_argument("--only", action="append", choices=[*NAMES, "connections"], help="these loads alone")
    parser.add_argument("--servers", default="", help="part of a name; several with commas: kith,mosquitto,relay")
    parser.add_argument("--repeat", type=int, help="interleaved repetitions")
    parser.add_argument("--seconds", type=float, help="measured seconds of one run")
    parser.add_argument("--crowd", type=int, help="idle connections, at most 20000")
    parser.add_argument("--against", type=Path, help="another source tree of Kith, run beside this one")
    parser.add_argument("--results", type=Path, default=RESULTS, help="where the figures go, as JSON")
    parser.add_argument("--native", action="store_true", help="a profile that looks into compiled code")
    return parser.parse_args()


def _delivery(asked: argparse.Namespace) -> dict[str, object]:
    quick, only = asked.quick, asked.only or [*NAMES, "connections"]
    plan = Plan(
        repetitions=asked.repeat or (2 if quick else 5),
        seconds=asked.seconds or (1.5 if quick else 5.0),
        warm=0.5 if quick else 1.5,
        crowd=asked.crowd or (300 if quick else 2000),
        scenarios=tuple(scenario for scenario in SCENARIOS if scenario.name in only),
        servers=tuple(filter(None, asked.servers.lower().split(","))),
        against=asked.against and asked.against.resolve(),
        connections="connections" in only,
        quick=quick,
    )
    try:
        outcome = measure.run(plan)
    except NotHere as why:
        print(f"The delivery path was not measured: {why}")
        return {"delivery": None}
    except Broken as why:
        raise SystemExit(f"The delivery path broke: {why}") from None
    print(
        f"Delivery: 1 KiB messages, {plan.repetitions} interleaved repetitions of {plan.seconds:g} s, medians "
        f"with least and most; load {', '.join(f'{load:.1f}' for load in os.getloadavg())}; "
        f"4 KiB and fdatasync take {outcome.fsync_us:,.0f} us here"
    )
    print("; ".join(f"{name} {version}" for name, version in outcome.versions.items()) + "\n")
    print(report.text(outcome), flush=True)
    done = plan._asdict() | {"scenarios": [scenario.name for scenario in plan.scenarios]}
    return {"delivery": {"plan": done} | report.facts(outcome)}


def machine() -> str:
    """What the figures were measured on."""
    cpu = next((line.split(":")[1].strip() for line in _cpuinfo() if line.startswith("model name")), platform.machine())
    return (
        f"{os.cpu_count()} cores, {cpu}, Linux {platform.release()}, Python {platform.python_version()}, "
        f"SQLite {apsw.sqlite_lib_version()}"
    )


def _cpuinfo() -> list[str]:
    file = Path("/proc/cpuinfo")
    return file.read_text().splitlines() if file.exists() else []


if __name__ == "__main__":
    main()

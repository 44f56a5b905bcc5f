"""The long run: `python tests/twins/fuzz.py --seed 1 --count 10000`. Prints how the clients differ, and after what.

A failing conversation is made as short as it can be before it is printed.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import sys
import tempfile
from pathlib import Path
from typing import Any, cast

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

import pytest

from kith.protocol import cbor
from kith.protocol.wire import Malformed
from twins.sides import Sdk, Shown, Web, sdk, web
from twins.talk import Scenario, Step, conversation


def difference(one: Any, other: Any, path: str = "") -> str | None:
    """The first place where two values differ."""
    if isinstance(one, dict) and isinstance(other, dict):
        keys = [*one, *(key for key in other if key not in one)]
        return next(filter(None, (difference(one.get(key), other.get(key), f"{path}.{key}") for key in keys)), None)
    if isinstance(one, list | tuple) and isinstance(other, list | tuple) and len(one) == len(other):
        return next(
            filter(None, (difference(a, b, f"{path}[{n}]") for n, (a, b) in enumerate(zip(one, other, strict=True)))),
            None,
        )
    return None if one == other else f"{path}: SDK {str(one)[:300]!r}, web {str(other)[:300]!r}"


def without_holes(steps: list[Step]) -> list[Step]:
    """The same steps at places that follow each other: nobody waits for what was left out."""
    pos, placed = 10, []
    for step in steps:
        pos += step["do"] == "say"
        placed.append(cast("Step", {**step, "pos": pos}))
    return placed


async def differ(python: Sdk, node: Web, scenario: Scenario) -> str | None:
    """How the two clients differ over a conversation; None when they do not."""
    scenario = cast("Scenario", {**scenario, "steps": without_holes(scenario["steps"])})
    theirs = node.run(scenario)
    if theirs.get("thrown") or theirs["trouble"]:
        return f"web: {theirs.get('thrown') or theirs['trouble'][0]}"
    try:
        mine: Shown = await python.run(scenario)
    except Exception as error:  # noqa: BLE001 - whatever it is, it is the finding
        return f"SDK: {type(error).__name__}: {error}"
    return difference(mine["opened"], theirs["opened"], "opened") or difference(mine["looks"], theirs["looks"], "looks")


async def shortened(python: Sdk, node: Web, scenario: Scenario) -> Scenario:
    """The same trouble in fewer steps."""
    steps = scenario["steps"]
    size = max(1, len(steps) // 2)
    while size:
        at = 0
        while at < len(steps):
            fewer = steps[:at] + steps[at + size :]
            smaller = cast("Scenario", {**scenario, "steps": fewer})
            if fewer and await differ(python, node, smaller):
                steps = fewer
            else:
                at += size
        size //= 2
    return cast("Scenario", {**scenario, "steps": steps})


async def search(seed: int, count: int, length: int, stop: int) -> int:
    """Run so many conversations; how many differ."""
    found = 0
    with tempfile.TemporaryDirectory() as folder, pytest.MonkeyPatch.context() as patch, web() as node:
        async with sdk(Path(folder), patch) as python:
            for number in range(seed, seed + count):
                scenario = conversation(number, length)
                why = await differ(python, node, scenario)
                if why is None:
                    continue
                found += 1
                short = await shortened(python, node, scenario)
                print(f"seed {number}: {await differ(python, node, short)}")
                for step in short["steps"]:
                    print("   ", _told(step))
                if found >= stop:
                    break
    return found


def _told(step: Step) -> str:
    shown: dict[str, Any] = {key: value for key, value in step.items() if key not in ("hub", "aad", "plaintext")}
    if "plaintext" in step:
        try:
            shown["content"] = str(cbor.decode(bytes.fromhex(step["plaintext"])))[:700]
        except Malformed:  # not everything is CBOR
            shown["bytes"] = step["plaintext"][:300]
        if "hub" in step:
            shown["at"] = step["hub"][:2]
    return json.dumps(shown, ensure_ascii=True)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--count", type=int, default=1000)
    parser.add_argument("--length", type=int, default=60)
    parser.add_argument("--stop", type=int, default=1, help="after so many findings")
    asked = parser.parse_args()
    sys.exit(1 if asyncio.run(search(asked.seed, asked.count, asked.length, asked.stop)) else 0)

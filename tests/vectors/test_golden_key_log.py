"""The key log's frozen bytes: proofs that hold, and what a lying log would have to show."""

from __future__ import annotations

from typing import Any

import pytest

from kith.protocol import transparency as kt
from kith.protocol.transparency import Forged
from kith.protocol.wire import Malformed
from vectors.shared import golden
from vectors.test_golden import named, raw

LOG = golden("key_log")
CONFIGURATION = kt.Configuration.decode(raw(LOG["configuration"]["bytes"]))


def test_the_frozen_configuration_is_read_and_endorsed() -> None:
    """Its fields, its bytes, and the word of the manifest's key, which holds for nothing else."""
    frozen = LOG["configuration"]
    assert CONFIGURATION.encode().hex() == frozen["bytes"]
    assert CONFIGURATION.signature_key.hex() == frozen["key"]
    numbers = (CONFIGURATION.max_ahead_ms, CONFIGURATION.max_behind_ms, CONFIGURATION.window_ms)
    assert numbers == (frozen["max_ahead_ms"], frozen["max_behind_ms"], frozen["window_ms"])
    assert kt.is_endorsed(raw(frozen["endorser"]), CONFIGURATION.encode(), raw(frozen["endorsement"]))
    assert not kt.is_endorsed(raw(frozen["key"]), CONFIGURATION.encode(), raw(frozen["endorsement"]))


@named(LOG["bad_configurations"])
def test_a_frozen_broken_configuration_is_refused(case: dict[str, Any]) -> None:
    """Another kind of log, or bytes that are none."""
    with pytest.raises(Malformed):
        kt.Configuration.decode(raw(case["bytes"]))


def test_the_frozen_head_is_signed_and_no_other_is() -> None:
    """Size, root, key and configuration are all under the signature."""
    head = LOG["head"]
    assert kt.head_is_signed(CONFIGURATION, head["size"], raw(head["root"]), raw(head["signature"]))
    for case in LOG["bad_heads"]:
        signature = raw(case["signature"])
        assert not kt.head_is_signed(CONFIGURATION, case["size"], raw(case["root"]), signature), case["name"]


@pytest.mark.parametrize("case", LOG["logged"])
def test_a_frozen_version_is_committed_to(case: dict[str, Any]) -> None:
    """Where it stands, what stands there, and the value as its parts."""
    label, value = raw(case["label"]), raw(case["value"])
    assert kt.search_key(label, case["version"]).hex() == case["search_key"]
    assert kt.commitment(raw(case["opening"]), label, case["version"], value).hex() == case["commitment"]
    assert kt.key_value(*kt.parse_value(value)) == value


def test_frozen_ladders_are_climbed_alike() -> None:
    """Which versions are looked up follows from the greatest alone."""
    assert [kt.ladder(case["greatest"]) for case in LOG["ladders"]] == [case["versions"] for case in LOG["ladders"]]


def test_frozen_searches_prove_what_is_there_and_what_is_not() -> None:
    """Found, another leaf in its place, and no child: all three kinds are among them."""
    assert {raw(case["search"])[0] for case in LOG["searches"]} == {1, 2, 3}
    for case in LOG["searches"]:
        key = raw(case["key"])
        held = kt.Lookup.decode(raw(case["search"]), key).proves(raw(case["root"]), key)
        assert (None if held is None else held.hex()) == case["commitment"]


@named(LOG["bad_searches"])
def test_a_frozen_false_search_is_refused(case: dict[str, Any]) -> None:
    """Whatever was changed."""
    key = raw(case["key"])
    with pytest.raises((Forged, Malformed)):
        kt.Lookup.decode(raw(case["search"]), key).proves(raw(case["root"]), key)


def versions(case: dict[str, Any]) -> dict[str, str]:
    """What an entry proves about a label, after its path was climbed to the root."""
    fields = case["entry"]
    entry = kt.Entry(
        fields["position"],
        fields["timestamp_ms"],
        raw(fields["prefix_root"]),
        tuple(map(raw, fields["path"])),
        fields["greatest"],
        tuple(map(raw, fields["lookups"])),
    )
    if entry.root(case["size"]) != raw(case["root"]):
        raise Forged("the entry is not of this log")
    return {str(version): held.hex() for version, held in entry.versions(raw(case["label"]), case["since"]).items()}


@pytest.mark.parametrize("case", LOG["entries"])
def test_a_frozen_entry_proves_its_versions(case: dict[str, Any]) -> None:
    """Under the signed root, and no version more or less."""
    assert versions(case) == case["versions"]


@named(LOG["bad_entries"])
def test_a_frozen_false_entry_is_refused(case: dict[str, Any]) -> None:
    """It is not of this log, or shows another newest version than the log holds."""
    with pytest.raises((Forged, Malformed)):
        versions(case)


def extends(case: dict[str, Any]) -> None:
    """As a client checks it."""
    proof = [raw(node) for node in case["proof"]]
    kt.check_extends(proof, first=case["first"], old=raw(case["old"]), second=case["second"], new=raw(case["new"]))


def test_every_frozen_pair_of_sizes_is_consistent() -> None:
    """The log continues itself, from every size to every larger one."""
    for case in LOG["extensions"]:
        extends(case)


@named(LOG["bad_extensions"])
def test_a_frozen_other_log_does_not_continue_it(case: dict[str, Any]) -> None:
    """Shorter, other, or badly proven."""
    with pytest.raises(Forged):
        extends(case)


@named(LOG["walks"])
def test_everybody_checks_the_same_frozen_entries(case: dict[str, Any]) -> None:
    """They follow from the times alone."""
    times, window = case["times"], CONFIGURATION.window_ms
    found = kt.distinguished(len(times), window, times[-1], times.__getitem__, case["after"], case["upto"])
    assert list(found) == case["positions"]

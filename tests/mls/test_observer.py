"""Observer mode: the server follows a group without secrets, and refuses what does not fit together."""

from collections.abc import Callable

import pytest

from kith.protocol.mls.engine import Committed
from kith.protocol.mls.group import Group
from kith.protocol.mls.observer import PublicGroup, observe
from kith.protocol.mls.refusals import BadSignature, PolicyRefused, TooOld, WrongEpoch
from kith.protocol.wire import Malformed
from mls.people import NOW, Device, Town


def committed(town: Town, by: str, add: tuple[str, ...] = (), remove: tuple[int, ...] = ()) -> Committed[Group]:
    """A pending commit."""
    adds = [town.device(name).package()[0] for name in add]
    return town.devices[by].engine.commit(town.states[by], now_s=NOW, adds=adds, removes=remove)


def watched(town: Town, by: str = "ann") -> PublicGroup:
    """The group as its current GroupInfo shows it."""
    return observe(town.devices[by].engine.group_info(town.states[by]))


def test_an_observer_follows_a_group_through_changes() -> None:
    """Members, tree and transcript stay those that the members have."""
    town = Town("ann", "ben", "cem", "dan")
    group = watched(town)
    life: tuple[tuple[str, tuple[str, ...], tuple[str, ...]], ...] = (
        ("ben", ("eva", "fay"), ()),
        ("cem", (), ("ann",)),
        ("eva", ("gus",), ("dan",)),
        ("gus", (), ()),
    )
    for by, add, remove in life:
        gone = [town.leaf(name) for name in remove]
        made = town.change(by, add, remove)
        group, seen = group.follow(made.commit, made.group_info, made.welcome, now_s=NOW)
        assert seen.committer.identity == town.devices[by].identity
        assert [package.identity for _, package in seen.added] == [town.devices[name].identity for name in add]
        assert [member.leaf for member in seen.removed] == gone
        assert group.members() == town.states[by].members()
        assert group.context == town.states[by].context


def swapped(made: Committed[Group], other: Committed[Group], part: str) -> tuple[bytes, bytes, bytes | None]:
    """The parts of one commit with one part of another."""
    parts = {"commit": made.commit, "group_info": made.group_info, "welcome": made.welcome}
    parts[part] = {"commit": other.commit, "group_info": other.group_info, "welcome": other.welcome}[part]
    commit, info = parts["commit"], parts["group_info"]
    assert commit is not None
    assert info is not None
    return commit, info, parts["welcome"]


@pytest.mark.parametrize("part", ["commit", "group_info", "welcome"])
def test_parts_of_two_commits_do_not_fit_together(part: str) -> None:
    """The tree, the transcript and the addressees give it away."""
    town = Town("ann", "ben", "cem")
    one, other = committed(town, "ann", ("dan",)), committed(town, "ann", ("eva",))
    with pytest.raises(Malformed):
        watched(town).follow(*swapped(one, other, part), now_s=NOW)


def test_a_commit_of_another_epoch_or_group_is_refused() -> None:
    """Too late, too early, elsewhere, or by somebody who is not in the group."""
    town, elsewhere = Town("ann", "ben"), Town("ann", "ben", seed=1)
    before = watched(town)
    late = committed(town, "ben")
    town.change("ann")
    early = committed(town, "ben")
    with pytest.raises(TooOld):
        watched(town).follow(late.commit, late.group_info, None, now_s=NOW)
    with pytest.raises(WrongEpoch):
        before.follow(early.commit, early.group_info, None, now_s=NOW)
    foreign = committed(elsewhere, "ann")
    with pytest.raises(BadSignature):
        before.follow(foreign.commit, foreign.group_info, None, now_s=NOW)
    other = Device("ann").create(b"another group id")
    alone = Device("ann").engine.commit(other, now_s=NOW)
    with pytest.raises(PolicyRefused):
        before.follow(alone.commit, alone.group_info, None, now_s=NOW)


def flipped(data: bytes, at: int) -> bytes:
    """One bit changed."""
    changed = bytearray(data)
    changed[at] ^= 1
    return bytes(changed)


@pytest.mark.parametrize("change", [lambda data: flipped(data, -70), lambda data: data + b"\0", lambda data: data[:-1]])
def test_an_altered_commit_or_group_info_is_refused(change: Callable[[bytes], bytes]) -> None:
    """A flipped bit in the signature's reach, a byte more, a byte less."""
    town = Town("ann", "ben")
    made = committed(town, "ben", (), (0,))
    group = watched(town)
    with pytest.raises(Malformed):
        group.follow(change(made.commit), made.group_info, None, now_s=NOW)
    with pytest.raises(Malformed):
        group.follow(made.commit, change(made.group_info), None, now_s=NOW)
    with pytest.raises(Malformed):
        observe(change(made.group_info))
    assert group.follow(made.commit, made.group_info, None, now_s=NOW)[0].context.epoch == 2


def test_a_welcome_comes_with_adds_and_only_with_them() -> None:
    """Missing where somebody is added, present where nobody is."""
    town = Town("ann", "ben")
    adding, empty = committed(town, "ann", ("cem",)), committed(town, "ann")
    with pytest.raises(Malformed):
        watched(town).follow(adding.commit, adding.group_info, None, now_s=NOW)
    with pytest.raises(Malformed):
        watched(town).follow(empty.commit, empty.group_info, adding.welcome, now_s=NOW)

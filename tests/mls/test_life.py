"""A stateful test of group life: joining, leaving, writing, losing, restarting in any order; laws hold always."""

from __future__ import annotations

import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import Bundle, RuleBasedStateMachine, consumes, initialize, invariant, precondition, rule

from kith.protocol.mls.crypto import public_key
from kith.protocol.mls.engine import Application, Committed, Settings
from kith.protocol.mls.group import Group
from kith.protocol.mls.observer import PublicGroup, observe
from kith.protocol.mls.refusals import TooOld
from kith.protocol.wire import Malformed
from mls.people import NOW, Device

SETTINGS = Settings(out_of_order=3, forward=40)
MOST = 7


class Letter:
    """A message under way: who has not read it yet."""

    def __init__(self, message: bytes, text: bytes, by: str, epoch: int, readers: set[str]) -> None:
        self.message = message
        self.text = text
        self.by = by
        self.epoch = epoch
        self.readers = readers


class GroupLife(RuleBasedStateMachine):
    """One server that orders commits, an observer, and devices that come, go, and sometimes lose messages."""

    letters = Bundle("letters")

    def __init__(self) -> None:
        super().__init__()
        self.devices: dict[str, Device] = {}
        self.states: dict[str, Group] = {}
        self.born = 0
        self.observer: PublicGroup | None = None
        self.gone: dict[str, Group] = {}

    def _device(self) -> Device:
        self.born += 1
        name = f"device {self.born}"
        self.devices[name] = Device(name, 0, SETTINGS)
        return self.devices[name]

    def _any(self, data: st.DataObject) -> str:
        return data.draw(st.sampled_from(sorted(self.states)))

    @initialize()
    def begin(self) -> None:
        """A group of one."""
        first = self._device()
        self.states[first.name] = first.create()
        self.observer = observe(first.engine.group_info(self.states[first.name]))

    def _commit(self, by: str, adds: list[bytes], removes: list[int]) -> Committed[Group]:
        made = self.devices[by].engine.commit(self.states[by], now_s=NOW, adds=adds, removes=removes)
        self.states[by] = made.state
        return made

    def _accepted(self, by: str, made: Committed[Group]) -> None:
        assert self.observer is not None
        self.observer, _ = self.observer.follow(made.commit, made.group_info, made.welcome, now_s=NOW)
        for name in sorted(self.states):
            engine = self.devices[name].engine
            if name == by:
                self.states[name] = engine.apply_own(self.states[name])
                continue
            self.states[name] = engine.process(self.states[name], made.commit).state
            if not engine.is_active(self.states[name]):
                self.gone[name] = self.states.pop(name)

    @rule(data=st.data(), count=st.integers(1, 3))
    def add(self, data: st.DataObject, count: int) -> None:
        """Some join."""
        count = min(count, MOST - len(self.states))
        if count < 1:
            return
        by = self._any(data)
        fresh = [self._device() for _ in range(count)]
        packages = [device.package() for device in fresh]
        made = self._commit(by, [message for message, _ in packages], [])
        self._accepted(by, made)
        assert made.welcome is not None
        for device, (_, secret) in zip(fresh, packages, strict=True):
            self.states[device.name] = device.engine.join(made.welcome, secret)

    @precondition(lambda self: len(self.states) > 1)
    @rule(data=st.data(), swap=st.booleans())
    def remove(self, data: st.DataObject, *, swap: bool) -> None:
        """Somebody leaves, perhaps replaced at once."""
        by = self._any(data)
        gone = data.draw(st.sampled_from(sorted(set(self.states) - {by})))
        fresh = [self._device()] if swap else []
        packages = [device.package() for device in fresh]
        made = self._commit(by, [message for message, _ in packages], [self.states[gone].own_leaf])
        self._accepted(by, made)
        assert gone in self.gone
        for device, (_, secret) in zip(fresh, packages, strict=True):
            assert made.welcome is not None
            self.states[device.name] = device.engine.join(made.welcome, secret)

    @rule(data=st.data())
    def rotate(self, data: st.DataObject) -> None:
        """Fresh keys."""
        by = self._any(data)
        self._accepted(by, self._commit(by, [], []))

    @precondition(lambda self: len(self.states) > 1)
    @rule(data=st.data(), applies=st.booleans())
    def race(self, data: st.DataObject, *, applies: bool) -> None:
        """Two commit at once; the loser follows, with or without having been told of its loss first."""
        by = self._any(data)
        other = data.draw(st.sampled_from(sorted(set(self.states) - {by})))
        self._commit(other, [], [])
        made = self._commit(by, [], [])
        if applies:
            self.states[other] = self.devices[other].engine.discard_own(self.states[other])
        self._accepted(by, made)
        assert self.devices[other].engine.pending(self.states[other]) is None

    @rule(target=letters, data=st.data(), text=st.binary(max_size=40))
    def write(self, data: st.DataObject, text: bytes) -> Letter:
        """A message that everybody may read, in any order, or never."""
        by = self._any(data)
        said = self.devices[by].engine.protect(self.states[by], text, text[:5])
        self.states[by] = said.state
        return Letter(said.message, text, by, said.state.epoch, set(self.states) - {by})

    @rule(letter=consumes(letters), data=st.data())
    def read(self, letter: Letter, data: st.DataObject) -> None:
        """In its epoch it opens for whoever has not read it and lies in the window, and never twice."""
        for name in sorted(letter.readers & set(self.states)):
            if not data.draw(st.booleans()):
                continue
            engine, state = self.devices[name].engine, self.states[name]
            if state.epoch != letter.epoch:
                with pytest.raises(TooOld):
                    engine.process(state, letter.message)
                continue
            try:
                done = engine.process(state, letter.message)
            except Malformed:
                self._was_late(name, letter)
                continue
            assert isinstance(done.event, Application)
            assert (done.event.plaintext, done.event.authenticated_data) == (letter.text, letter.text[:5])
            assert done.event.sender.identity == self.devices[letter.by].identity
            self.states[name] = done.state
            with pytest.raises(Malformed):
                engine.process(done.state, letter.message)

    def _was_late(self, name: str, letter: Letter) -> None:
        """A refusal is only right when later messages of that sender were read beyond the window."""
        sender = next(one for one in self.states[name].members() if one.identity == self.devices[letter.by].identity)
        ratchet = self.states[name].secret_tree.ratchets[sender.leaf].application
        assert ratchet.generation > SETTINGS.out_of_order

    @rule(data=st.data())
    def restart(self, data: st.DataObject) -> None:
        """From its stored state."""
        name = self._any(data)
        engine, state = self.devices[name].engine, self.states[name]
        self.states[name] = engine.restore(engine.serialise(state), at_least=engine.revision(state))
        assert self.states[name] == state

    @invariant()
    def all_see_the_same(self) -> None:
        """Context, authenticator, exporter and roster; so does the observer, as far as it can."""
        if not self.states:
            return
        views = {
            (
                state.context,
                device.engine.epoch_authenticator(state),
                device.engine.exporter(state, b"", b"", 16),
                device.engine.roster(state),
            )
            for name, state in self.states.items()
            for device in (self.devices[name],)
        }
        assert len(views) == 1
        assert self.observer is not None
        assert (self.observer.context, self.observer.members()) == (next(iter(views))[0], next(iter(views))[3])

    @invariant()
    def keys_are_where_the_tree_says(self) -> None:
        """Every private key is the other half of the public key that stands at its place, ours among them."""
        for state in self.states.values():
            assert 2 * state.own_leaf in state.keys
            for place, key in state.keys.items():
                node = state.tree[place]
                assert node is not None
                assert node.encryption_key == public_key(key)

    @invariant()
    def those_who_left_have_nothing(self) -> None:
        """No keys, no authenticator."""
        for name, state in self.gone.items():
            assert not state.keys
            with pytest.raises(Malformed):
                self.devices[name].engine.epoch_authenticator(state)


GroupLife.TestCase.settings = settings(
    max_examples=25, stateful_step_count=25, deadline=None, suppress_health_check=[HealthCheck.too_slow]
)
TestGroupLife = GroupLife.TestCase

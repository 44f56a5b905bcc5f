"""Groups live: people come, go, rotate their keys and write, and a restart changes nothing."""

import doctest

import pytest

from kith.protocol.mls import client
from kith.protocol.mls.engine import Application, Commit, Settings
from kith.protocol.mls.refusals import PolicyRefused
from mls.people import NOW, Device, Town


def test_21_the_example_runs() -> None:
    """The one in the engine's documentation, from nothing to a message."""
    done = doctest.testmod(client)
    assert done.attempted > 10
    assert done.failed == 0


def test_two_devices_write_to_each_other() -> None:
    """The text, the authenticated data and the sender arrive."""
    town = Town("ann", "ben")
    message = town.say("ann", b"Good morning", b"aad")
    done = town.devices["ben"].engine.process(town.states["ben"], message)
    assert isinstance(done.event, Application)
    assert (done.event.plaintext, done.event.authenticated_data) == (b"Good morning", b"aad")
    assert done.event.sender.identity == town.devices["ann"].identity
    assert (done.event.sender.leaf, done.event.epoch) == (0, 1)


@pytest.mark.parametrize("encrypted", [False, True])
def test_a_group_stays_in_agreement_through_changes(*, encrypted: bool) -> None:
    """Adds, removes and rotations by different members, as public and as private handshakes."""
    town = Town("ann", "ben", "cem", "dan", "eva")
    assert town.agree()
    town.change("cem", encrypted=encrypted)
    town.change("eva", add=("fay", "gus", "hal", "ida"), encrypted=encrypted)
    town.change("ida", remove=("ben", "hal"), encrypted=encrypted)
    town.change("fay", add=("joe",), remove=("ann",), encrypted=encrypted)
    town.change("joe", encrypted=encrypted)
    town.change("dan", remove=("eva", "fay", "gus", "ida", "joe"), encrypted=encrypted)
    assert town.agree()
    assert [len(town.states[name].tree) for name in ("cem", "dan")] == [7, 7]
    for name in ("cem", "dan"):
        message = town.say(name, b"still here")
        for other in {"cem", "dan"} - {name}:
            done = town.devices[other].engine.process(town.states[other], message)
            town.states[other] = done.state
            assert isinstance(done.event, Application)


def test_a_commit_says_what_it_did() -> None:
    """Who made it, who came, who went, and that the reader itself is out."""
    town = Town("ann", "ben", "cem")
    message, _ = town.device("dan").package()
    ann = town.devices["ann"].engine
    made = ann.commit(town.states["ann"], now_s=NOW, adds=[message], removes=[1], authenticated_data=b"why")
    done = town.devices["cem"].engine.process(town.states["cem"], made.commit)
    assert isinstance(done.event, Commit)
    assert [member.identity for member in done.event.added] == [town.devices["dan"].identity]
    assert [(member.leaf, member.identity) for member in done.event.removed] == [(1, town.devices["ben"].identity)]
    assert (done.event.sender.leaf, done.event.epoch, done.event.authenticated_data) == (0, 2, b"why")
    out = town.devices["ben"].engine.process(town.states["ben"], made.commit)
    assert isinstance(out.event, Commit)
    assert out.event.removed_me
    for refused in (
        lambda: town.devices["ben"].engine.protect(out.state, b"hello"),
        lambda: town.devices["ben"].engine.process(out.state, made.commit),
        lambda: town.devices["ben"].engine.exporter(out.state, b"", b"", 16),
        lambda: town.devices["ben"].engine.commit(out.state, now_s=NOW),
    ):
        with pytest.raises(PolicyRefused):
            refused()


def test_a_restart_in_any_state_changes_nothing() -> None:
    """Every state is written and read again to the same value, with pending commits, past epochs and kept keys."""
    town = Town("ann", "ben", "cem", settings=Settings(past_epochs=2, out_of_order=8))
    early = [town.say("ann", b"first"), town.say("ann", b"second")]
    ben = town.devices["ben"].engine
    town.states["ben"] = ben.process(town.states["ben"], early[1]).state
    town.change("cem")
    pending = ben.commit(town.states["ben"], now_s=NOW, removes=[2])
    for device, state in [*town, (town.devices["ben"], pending.state)]:
        stored = device.engine.serialise(state)
        again = device.engine.restore(stored, at_least=state.revision)
        assert again == state
        assert device.engine.serialise(again) == stored
    restored = ben.restore(ben.serialise(pending.state))
    waiting = ben.pending(restored)
    assert waiting is not None
    assert (waiting.commit, waiting.welcome) == (pending.commit, None)
    late = ben.process(restored, early[0])
    assert isinstance(late.event, Application)
    assert (late.event.epoch, late.event.plaintext) == (1, b"first")


def test_a_refused_commit_is_forgotten_and_the_accepted_one_followed() -> None:
    """Two commit at once: the loser follows the winner, discarding its own by that."""
    town = Town("ann", "ben", "cem")
    ann, ben = town.devices["ann"].engine, town.devices["ben"].engine
    lost = ann.commit(town.states["ann"], now_s=NOW)
    won = ben.commit(town.states["ben"], now_s=NOW)
    after = ann.process(lost.state, won.commit).state
    assert ann.pending(after) is None
    town.states["ben"] = ben.apply_own(won.state)
    assert ann.epoch_authenticator(after) == ben.epoch_authenticator(town.states["ben"])
    again = ann.commit(ann.discard_own(lost.state), now_s=NOW)
    assert again.commit != lost.commit


def test_a_creator_alone_can_rotate_and_then_invite() -> None:
    """A path without anybody beside it."""
    town = Town("ann")
    town.change("ann")
    town.change("ann", add=("ben",))
    assert town.agree()
    assert Device("ann").engine.epoch(town.states["ann"]) == 2

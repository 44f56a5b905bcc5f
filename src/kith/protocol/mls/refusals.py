"""Why MLS bytes are refused, beyond being Malformed. All are Malformed, so one `except` at the edge is enough.

A refusal leaves the group exactly as it was: the same message may come again, or the genuine one instead of a
tampered copy.
"""

from kith.protocol.wire import Malformed


class Unsupported(Malformed):
    """Valid MLS that Kith does not speak: another version, suite, credential or proposal. The text names it."""


class BadSignature(Malformed):
    """A signature that its claimed signer did not make."""


class BadTag(Malformed):
    """A ciphertext, membership tag or confirmation tag that the group's secrets did not make."""


class WrongEpoch(Malformed):
    """A message of an epoch that this group has not reached."""


class TooOld(Malformed):
    """A message of an epoch, or of a place in its sender's sequence, whose keys are gone for good."""


class Replay(Malformed):
    """A message whose key was already used. It was processed before, or skipped and given up."""


class PolicyRefused(Malformed):
    """Valid and genuine, and still not acceptable, for instance expired or by somebody who may not."""

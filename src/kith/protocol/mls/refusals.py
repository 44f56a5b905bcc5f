"""Why MLS bytes are refused, beyond being Malformed. All are Malformed, so one `except` at the edge is enough."""

from kith.protocol.wire import Malformed


class Unsupported(Malformed):
    """Valid MLS that Kith does not speak: another version, suite, credential or proposal. The text names it."""


class BadSignature(Malformed):
    """A signature that its claimed signer did not make."""


class PolicyRefused(Malformed):
    """Valid and genuine, and still not acceptable, for instance expired."""

"""What the rooms may know about the server they run in; `app` makes it once at start-up."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from kith.ledger.database import Reader, wall_clock
from kith.people import connections
from kith.people.buckets import Fleeting
from kith.people.limits import DEFAULT, Limits
from kith.people.passwords import Hasher

Met = Callable[[Reader, str, str], bool]
"""Whether the first account has been shown the second one: only then does its id say anything to her."""
Held = Callable[[Reader, str], object]
"""What another room holds about an account, as plain JSON values; only what that person may see."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ServerFacts:
    """The server's unchanging facts.

    `name` has no port and is the HOST of every URI; `origin` has scheme and port. `ticket_key` (32 bytes, never in
    the database) signs age tickets and blinds the names of rate-limit buckets. `log_key` signs the heads of the key
    log. `also_held` are the other rooms' parts of a person's export, by title. `hasher` and `asked_age` are what
    all requests of this process share: the pool that hashes passwords, and limits that must leave nothing on disk.
    Whoever names an account that she never `met` gets the answer for an id that does not exist.
    """

    name: str
    origin: str
    ticket_key: bytes = field(repr=False)
    log_key: Ed25519PrivateKey = field(default_factory=Ed25519PrivateKey.generate, repr=False)
    clock: Callable[[], int] = wall_clock
    limits: Limits = DEFAULT
    also_held: Mapping[str, Held] = field(default_factory=dict)
    met: Met = connections.known
    hasher: Hasher = field(init=False, repr=False)
    asked_age: Fleeting = field(default_factory=Fleeting, repr=False)
    asked_log: Fleeting = field(default_factory=Fleeting, repr=False)
    listed_rooms: Fleeting = field(default_factory=Fleeting, repr=False)

    def __post_init__(self) -> None:
        """Make the pool as large as the limits say."""
        object.__setattr__(self, "hasher", Hasher(self.limits.hashing_threads, self.limits.hashing_queue))

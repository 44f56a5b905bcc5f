"""Kith: a private messenger that people host themselves, safe without anybody reading messages.

Rooms off one corridor. `protocol` is pure bytes, `ledger` is the corridor (what happened and where it
is kept), `people`, `messaging`, `safety`, `reports` and `authorities` are rooms named after what Kith
promises, and `app` is the only place that knows everybody.
"""

__version__ = "0.1.0"

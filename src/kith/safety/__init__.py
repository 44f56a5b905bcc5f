"""Noticing harm from how accounts behave, and slowing it with a reason; never from what people write.

Promises: features come from ledger events alone, rules are named conditions that explain themselves and
say "not evaluable" when a fact is missing, effects go through one consequence provider that can be
simulated, a rule runs in shadow until an operator makes it live, and notices state facts.
Must not know: message content, who reported whom, other rooms' tables; it restricts nobody itself but
asks `people.enforcement`.
"""

"""People: accounts, ages, devices, connections, protections of minors, and the enforcement ladder.

Promises: an age is kept as a band and never as a date; a password or a token is never kept, only a hash;
nobody is restricted except through `enforcement`, with a reason, a term, an appeal and a way back; signing
in, reading, exporting, reporting and blocking work in every standing.
Must not know: rooms, messages, rules and scores, reports, or who staff are.
"""

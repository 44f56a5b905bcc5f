"""MLS (RFC 9420) in suite 1 with basic credentials: Kith's own engine, for members and for the server that watches.

This room promises that every MLS byte string is read to its last byte or refused with a typed reason, that nothing is
believed before signature and tag are verified, that a refusal changes nothing, and that a used key cannot be found
again. Files are named after the nouns of the RFC; `engine` is the interface, `client` the engine behind it, `group`
one member's epoch as a value, `observer` the same without secrets, `state` its bytes.

Inside: key packages, Welcome, Add and Remove inline, commits with a path, public and private messages, authenticated
data, padding, exporter, epoch authenticator. Update, GroupContextExtensions and proposals by reference are understood
where `Settings` allow them. Outside, and refused by name: other suites and credentials, external commits and senders,
ReInit, branching, pre-shared keys (computed for the official vectors only). Nobody outside the project has audited it.

It must not know: sockets, files, the clock, chance, accounts, or which KeyPackage was issued to whom. The signature
key, randomness, time, the directory and the roster policy are arguments.
"""

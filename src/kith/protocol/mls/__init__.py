"""The public parts of MLS (RFC 9420), read strictly: what a delivery service must understand and no more.

This room promises that a handshake, a KeyPackage, a Welcome or a GroupInfo is either read to its last byte or refused,
with counts and sizes capped before anything is built from them, and that what can be verified without secrets is
verified here. Suite 1 and basic credentials only; everything else is refused by name (`Unsupported`).

It must not know: group secrets, private keys, policy, or which KeyPackage was issued to whom.
"""

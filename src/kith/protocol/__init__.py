"""Pure bytes: everything that two parties must agree on, bit for bit.

This room promises that a byte string means one thing or nothing. It encodes and strictly decodes what travels
(frames, MIMI content, the public parts of MLS), computes and checks what is committed or signed (franking,
certificates, device lists, the server key manifest), and says whether evidence is genuine. Whatever arrives,
decoding raises only `wire.Malformed`, in time and memory bounded by the size of the input.

It must not know: sockets, files, databases, the clock, randomness, accounts, rooms as the server stores them, or
any policy. Times, salts and keys are arguments. Verified things have types of their own, and only the verifying
functions make them.
"""

"""Everything that leaves the server for an authority, and the proof that nothing else did.

Promises: a CyberTip says only what a reporter disclosed and what the server really holds, is approved by
two people, is journalled before and after every call, and can neither be lost nor sent twice by a crash;
what was sent is kept sealed for a year and then destroyed. Off until an operator enters an endpoint.
Must not know: HTTP of people's clients; it restricts nobody and decides no case.
"""

"""First contact, rooms, handshakes and delivery: who may write to whom, and that what was accepted arrives once.

Promises: nobody unconnected reaches a person who does not want it, and an adult never a minor; whoever asks learns
nothing about the other side before it says yes. Key packages go only to the two accounts of a room whose connection
stands. Positions in a room have no holes, an accepted message is durable, a repeat gets the first answer, and a body
is forgotten once every device has it.

Must not know: what anybody says, group secrets, HTTP outside `routes.py`, or the rooms safety, reports, authorities.
"""

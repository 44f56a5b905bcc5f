"""What people and devices do here: load facts, decide, append, in one transaction each."""

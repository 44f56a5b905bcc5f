"""authorities."""

"""Pages for people: where calls that wait are approved or rejected."""

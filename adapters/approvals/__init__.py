"""Ways out to people who are asked: so far a webhook."""

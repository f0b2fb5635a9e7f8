"""The upstream side of a session: what is known of an upstream, the seat at it, and the bridge between two eras."""

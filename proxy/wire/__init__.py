"""JSON-RPC on the wire: the envelope is read, what it carries stays the bytes that it was."""

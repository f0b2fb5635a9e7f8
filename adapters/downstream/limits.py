"""What one client may take of the HTTP listener. The defaults suit one machine and many agents."""

from __future__ import annotations

from dataclasses import dataclass

_MIB = 1024 * 1024


@dataclass(frozen=True, slots=True)
class Limits:
    """Bounds of the HTTP edge; every one of them is enforced before anything is kept.

    Attributes:
        body_bytes: the largest request body (413).
        head_bytes: request line and headers together (431).
        headers: how many of them a request may have (431).
        pipelined: requests that may wait on one connection for those before them.
        depth: levels of nesting in a governed request.
        read_s: from the first byte of a request to its last, however slowly they come (408).
        sessions: open sessions of the handshake revisions, of all callers together (503); as many again over HTTP+SSE.
            Where nobody has to say who comes, all callers are one, here and wherever a caller has a bound of its own,
            such as the 64 calls that may wait for its answers.
        session_idle_s: without a request, an open stream or an answer awaited, a session ends.
        linger_s: after this long, a request is watched for its client going away.
        poll_s: after this long, a client that prefers streams and can resume them is left to come back for the rest.
        ping_s: the longest silence on a stream; also when a silent request turns into one.
        queue_bytes: unsent bytes of one stream; a reader slower than that loses the connection, not the events.
        replay_bytes: events kept for each session, for clients that come back.
        retry_ms: how long a client should wait before it comes back.
        grace_s: what open requests get at shutdown.
    """

    body_bytes: int = 4 * _MIB
    head_bytes: int = 32 * 1024
    headers: int = 200
    pipelined: int = 16
    depth: int = 128
    read_s: float = 30.0
    sessions: int = 10_000
    session_idle_s: float = 30 * 60.0
    linger_s: float = 0.05
    poll_s: float = 0.1
    ping_s: float = 15.0
    queue_bytes: int = 8 * _MIB
    replay_bytes: int = 1 * _MIB
    retry_ms: int = 1000
    grace_s: float = 3.0

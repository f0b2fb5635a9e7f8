"""Frames with a few bytes changed, put in or left out, as a bad line or a bad mind makes them."""

from __future__ import annotations

from hypothesis import strategies as st

FRAMES = (
    b'{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"name":"x","arguments":{"a":[1.5e3,"\\u00e9",null]}}}',
    b'{"jsonrpc":"2.0","id":"a","method":"echo","params":{"_meta":{"progressToken":7}}}',
    b'{"jsonrpc":"2.0","method":"notifications/cancelled","params":{"requestId":1}}',
    b'{"jsonrpc":"2.0","id":1,"result":{"content":[]}}',
    b'{"jsonrpc":"2.0","id":1,"error":{"code":-32600,"message":"no"}}',
)
PIECES = (*(bytes([byte]) for byte in b'\x00\x0b"\\{}[],:0189eE.-+ntfu\x80\xe2\xff\n A'), b"[" * 2000, b"\\ud800", b"")


@st.composite
def mutated(draw: st.DrawFn) -> bytes:
    """One of the frames with one to three pieces of it replaced."""
    frame = bytearray(draw(st.sampled_from(FRAMES)))
    for _ in range(draw(st.integers(1, 3))):
        start = draw(st.integers(0, len(frame)))
        end = draw(st.integers(start, min(start + 3, len(frame))))
        frame[start:end] = draw(st.sampled_from(PIECES))
    return bytes(frame)

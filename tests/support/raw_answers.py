"""What the raw upstream answers, as bytes. Tests look for these very bytes at the other end of the proxy."""

from __future__ import annotations

MODERN = "2026-07-28"
HANDSHAKE = ("2024-11-05", "2025-03-26", "2025-06-18", "2025-11-25")

ODD = (
    rb'"x-vendor":{"price":1.10,"big":1180591620717411303424,"small":-0.0,"exp":1E5,"esc":"\u00e9\/\u2028",'
    rb'"none":null,"empty":{},"list":[1.0,[]]}'
)
"""A member that a typed model loses or writes anew: numbers, escapes, and a name that nobody knows."""

CAPABILITIES = (
    rb'{"tools":{"listChanged":true},"prompts":{"listChanged":true},"resources":{"subscribe":true,"listChanged":true},'
    rb'"logging":{},"completions":{},"experimental":{"acme/feature":{"level":1.10}},' + ODD + rb"}"
)

SERVER_INFO = rb'{"name":"raw","version":"1.10","title":"Raw","x-build":1180591620717411303424}'

INSTRUCTIONS = rb'"Call echo first.\u00a0Then rest."'

VENDOR_BLOCK = rb'{"type":"acme/hologram","data":"AAEC","x-depth":1.10}'

VENDOR_RESULT = (
    rb'{"content":[{"type":"text","text":"hi","annotations":{"audience":["user"],"x-score":0.50}},'
    + VENDOR_BLOCK
    + rb'],"isError":false,"_meta":{"acme/trace":1180591620717411303424},'
    + ODD
    + rb"}"
)
"""The result of the tool ``vendor``, without what the revision puts before it."""

VENDOR_ERROR = (
    rb'{"code":7001,"message":"out of credit","data":{"credit":-1.10,"big":1180591620717411303424},"x-more":[1.0]}'
)
"""The error of the tool ``fail``."""

BUSINESS_ERROR = rb'{"content":[{"type":"text","text":"no such order"}],"isError":true,' + ODD + rb"}"

ECHO_SCHEMA = rb'{"type":"object","properties":{"text":{"type":"string"}}}'

STRICT_SCHEMA = (
    rb'{"$schema":"https://json-schema.org/draft/2020-12/schema","type":"object",'
    rb'"properties":{"city":{"type":"string","minLength":2},"days":{"type":"integer","minimum":1,"maximum":14},'
    rb'"unit":{"enum":["celsius","fahrenheit"]}},"required":["city"],"additionalProperties":false}'
)

OUTPUT_SCHEMA = rb'{"type":"object","properties":{"sum":{"type":"integer"}},"required":["sum"]}'

TOOLS: dict[str, bytes] = {
    name: rb'{"name":"' + name.encode() + rb'","inputSchema":' + schema + rb"," + extra + ODD + rb"}"
    for name, schema, extra in [
        ("echo", ECHO_SCHEMA, rb'"title":"Echo","annotations":{"readOnlyHint":true,"x-hint":1.10},'),
        ("vendor", rb'{"type":"object"}', rb""),
        ("fail", rb'{"type":"object"}', rb""),
        ("business_error", rb'{"type":"object"}', rb""),
        ("strict", STRICT_SCHEMA, rb'"annotations":{"readOnlyHint":true},'),
        ("sum", rb'{"type":"object"}', rb'"outputSchema":' + OUTPUT_SCHEMA + rb","),
        ("bad_sum", rb'{"type":"object"}', rb'"outputSchema":' + OUTPUT_SCHEMA + rb","),
        ("slow", rb'{"type":"object"}', rb'"annotations":{"readOnlyHint":true},'),
        ("progress", rb'{"type":"object"}', rb""),
        ("log", rb'{"type":"object"}', rb""),
        ("shout", rb'{"type":"object"}', rb""),
        ("sample", rb'{"type":"object"}', rb""),
        ("elicit", rb'{"type":"object"}', rb""),
        ("roots", rb'{"type":"object"}', rb""),
        ("grow", rb'{"type":"object"}', rb""),
        ("hang", rb'{"type":"object"}', rb""),
        ("die", rb'{"type":"object"}', rb""),
        ("junk", rb'{"type":"object"}', rb""),
        ("big", rb'{"type":"object","properties":{"bytes":{"type":"integer"}}}', rb""),
    ]
}

PROMPTS = [rb'{"name":"greet","arguments":[{"name":"who","required":true,"x-kind":"person"}],' + ODD + rb"}"]
PROMPT_RESULT = rb'{"messages":[{"role":"user","content":{"type":"text","text":"hello"},"x-tone":1.10}],' + ODD + rb"}"

RESOURCES = [rb'{"uri":"raw://a/1","name":"one","size":1.0,' + ODD + rb"}", rb'{"uri":"raw://a/2","name":"two"}']
TEMPLATES = [rb'{"uriTemplate":"raw://a/{n}","name":"numbered",' + ODD + rb"}"]
READ_RESULT = rb'{"contents":[{"uri":"raw://a/1","mimeType":"text/plain","text":"one","x-etag":1.10}],' + ODD + rb"}"

COMPLETION = rb'{"completion":{"values":["ada","alan"],"total":2,"hasMore":false,"x-rank":[1.0,0.50]},' + ODD + rb"}"

SERVER_REQUESTS: dict[str, tuple[str, bytes]] = {
    "sample": (
        "sampling/createMessage",
        rb'{"messages":[{"role":"user","content":{"type":"text","text":"2+2?"}}],"maxTokens":10,' + ODD + rb"}",
    ),
    "elicit": (
        "elicitation/create",
        rb'{"mode":"form","message":"Your name?","requestedSchema":{"type":"object","properties":'
        rb'{"name":{"type":"string"}},"required":["name"]},' + ODD + rb"}",
    ),
    "roots": ("roots/list", rb"{" + ODD + rb"}"),
}
"""By tool: what the upstream asks of the client before it answers."""

LOG_PARAMS = rb'{"level":"info","logger":"raw","data":{"price":1.10},' + ODD + rb"}"


SHOUT_PARAMS = rb'{"volume":1.10,' + ODD + rb"}"


def text_result(text: bytes) -> bytes:
    """A result with one text block. ``text`` is the inside of a JSON string."""
    return rb'{"content":[{"type":"text","text":"' + text + rb'"}]}'


def complete(result: bytes) -> bytes:
    """A result as the stateless revision has it."""
    rest = result[1:]
    return rb'{"resultType":"complete"' + (rb"" if rest == rb"}" else rb",") + rest

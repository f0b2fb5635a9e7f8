"""``rules:``: the permissions in their short form, compiled to Cedar elsewhere."""

from __future__ import annotations

from typing import Annotated, Literal, TypeAlias

from pydantic import Field

from fuseboard.config.section import OneOrMany, Section, Words

Decision: TypeAlias = Literal["allow", "ask", "deny"]
Effects: TypeAlias = Annotated[tuple[Literal["read", "write", "destructive"], ...], OneOrMany()]


class Rule(Section):
    """One rule. It applies where everything that it names applies; what it leaves out, it does not ask about.

    The order of rules never matters: deny goes before ask, ask before allow.
    """

    id: Annotated[str, Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]{0,63}$")]
    """How refusals and the trace cite it: letters, digits, `.`, `_`, `-`; at most 64. No two rules share one."""

    tools: Words = ()
    """Globs over `<server>__<tool>`."""

    resources: Words = ()
    """Globs over resource URIs."""

    prompts: Words = ()
    """Globs over `<server>__<prompt>`."""

    upstream: Words = ()
    """Globs over the names of servers."""

    principals: Words = ()
    """Globs over the names of principals."""

    effect: Effects = ()
    """What the tool does to the world: `read`, `write`, `destructive`."""

    when: Annotated[str, Field(min_length=1)] | None = None
    """A Cedar condition over `context.args`, `principal`, `resource`."""

    decide: Decision
    """`allow`, `ask` (a person) or `deny`."""

    say: Annotated[str, Field(min_length=1)] | None = None
    """What the model reads when the rule refuses: what to do instead."""

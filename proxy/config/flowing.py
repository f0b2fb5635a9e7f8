"""How data may flow from results into later calls: the section `flow`."""

from __future__ import annotations

from typing import Literal, TypeAlias

from fuseboard.config.section import Section, Words

Does: TypeAlias = Literal["ask", "deny", "allow"]


class Flow(Section):
    """Calls that delete or reach outside, once a run has read untrusted text."""

    copied: Does = "ask"
    """What happens where an argument was copied from an untrusted result."""

    rule_of_two: Does = "ask"
    """What happens where a run that read private data and untrusted text reaches outside."""

    known: Words = ()
    """Values that may be used wherever they came from, such as an address of the house's own."""

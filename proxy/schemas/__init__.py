"""JSON Schemas of tools: compiled within bounds, and their mismatches put so that a model can mend its call."""

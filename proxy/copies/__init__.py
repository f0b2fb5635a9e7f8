"""Which argument of a call was copied from which result. Pure; found is evidence, not found proves nothing."""

"""The rules as Cedar: compiled, shown, validated, sliced by caller and tool, and decided."""

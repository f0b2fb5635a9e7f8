"""Does a run learn anything by asking again? Detectors over its window; each looks at the window alone. Pure."""

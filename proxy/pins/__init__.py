"""What tools, prompts and resource templates were when they were accepted, and what became of them since."""

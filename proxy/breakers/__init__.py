"""Breakers: what fails is taken off the board for a while, from the run that has it or from everybody. Pure."""

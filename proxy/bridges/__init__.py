"""Seats that join the two eras, each for the client whose upstream does not speak its own."""

"""The policies: one question a file, pure. :mod:`fuseboard.policy` has their shape, ``fuseboard.app`` their order."""

"""Where run state and the ledger live: one port, one contract suite, one room a technology."""

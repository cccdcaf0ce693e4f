"""Floor 2: bytes to messages and back. No socket, clock, randomness or log: role, `now` and `random` are arguments."""

"""Floor 1: the only folder that imports `cryptography` and `blake3`."""

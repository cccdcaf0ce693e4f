"""Floor 1: the only folder that imports `cryptography`, `blake3` and `Cryptodome`."""

"""Several servers: what is known of each, which of them is taken, and who finds out how they are."""

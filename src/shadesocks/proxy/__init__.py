"""Floor 4: the story of a connection, and the parts that are plugged into it."""

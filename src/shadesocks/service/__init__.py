"""Floor 5: the object graph and its life."""

"""The manager of a running service: commands that add and remove its ports, and what is told of them."""

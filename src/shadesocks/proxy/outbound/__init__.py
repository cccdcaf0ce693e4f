"""Ways to a target: each is a dialer."""

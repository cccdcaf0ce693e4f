"""Counters as Prometheus reads them, and the page where it finds them; loaded where `metrics` is set."""

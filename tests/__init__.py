"""The tests mirror `src/shadesocks`; `python -m pytest` runs them."""

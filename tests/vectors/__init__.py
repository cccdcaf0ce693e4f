"""The test vectors (README.md says how they are laid out) and what runs them: `python -m tests.vectors [DIR]`."""

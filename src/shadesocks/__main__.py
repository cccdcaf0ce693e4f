"""`python -m shadesocks`: the same as the program `shadesocks`."""

from .cli import main

if __name__ == "__main__":
    main()

"""The control socket: who may speak there, how a line is answered, and which commands there are."""

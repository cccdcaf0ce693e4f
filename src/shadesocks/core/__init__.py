"""Floor 0: values. Imports nothing of ours, touches no socket, clock or log."""

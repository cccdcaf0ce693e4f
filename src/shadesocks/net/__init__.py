"""Floor 3: sockets. The only floor that knows how bytes reach the kernel."""

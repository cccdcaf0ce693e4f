"""What is kept of users beyond the life of a process: who they are, what they used, hour by hour."""

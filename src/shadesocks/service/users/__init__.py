"""Who is served: users, their tables, and the accounts that they have in a running service."""

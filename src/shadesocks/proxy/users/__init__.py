"""Who is served: users, their limits, and the accounts of what passes for them."""

"""`shadesocks user`: who may use this server, and how much of it."""

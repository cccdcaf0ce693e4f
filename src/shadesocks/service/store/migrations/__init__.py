"""What alembic runs to bring a database to the present form; nothing in here is imported by us."""

"""Servers named elsewhere (SIP008, `ssconf://`): fetched, read, kept."""

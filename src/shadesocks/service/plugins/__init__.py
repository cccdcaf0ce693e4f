"""Programs that carry what goes between a client and its server (SIP003): started, watched, ended."""

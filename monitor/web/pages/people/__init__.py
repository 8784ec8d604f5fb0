"""Pages about people: log-in, the own account, accounts and tokens, and who did what."""

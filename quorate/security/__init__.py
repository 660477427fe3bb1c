"""Who may talk to whom, and how: TLS, identities, permissions. Used by services, SDK and CLI."""

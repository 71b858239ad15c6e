"""How commands reach the core and records leave it."""

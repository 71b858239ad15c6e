"""The interface of administrators: who they are, what they may do, and what became of it."""

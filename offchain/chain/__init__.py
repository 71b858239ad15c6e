"""The chain: what is signed, what is sent, what is read."""

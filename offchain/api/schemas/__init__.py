"""What travels over HTTP and WebSocket: one definition for the server, the client and the documentation."""

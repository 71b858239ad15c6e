"""HTTP and WebSocket interface of the service; `offchain.api.app.init_app` builds it."""

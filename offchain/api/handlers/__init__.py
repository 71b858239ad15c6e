"""One module per concern; `offchain.api.routes` says which address leads where."""

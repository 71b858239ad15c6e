"""The pure model of the exchange: integers only; no clock, no I/O, no randomness, no iteration over sets."""

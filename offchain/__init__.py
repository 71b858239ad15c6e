"""Crosspoint's off-chain service: intake, matching, settlement and the trader's client."""

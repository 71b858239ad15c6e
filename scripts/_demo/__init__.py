"""Parts of `ape run demo`: bots, screen and the final audit."""

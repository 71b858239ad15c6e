"""The trader's command line: `crosspoint`."""

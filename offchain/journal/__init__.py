"""Where records become durable."""

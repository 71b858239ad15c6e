"""What the interface is, for machines: OpenAPI for HTTP, AsyncAPI for the stream, made from the code that serves it."""

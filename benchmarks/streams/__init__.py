"""Our load generator, Locust and a plain asyncio script send the same streams to the same sink."""

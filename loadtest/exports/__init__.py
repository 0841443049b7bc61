"""A saved run in the formats of other tools: CSV, JSON Lines, Prometheus text. Pure."""

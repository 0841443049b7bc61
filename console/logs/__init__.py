"""Lines of logs: read, cleaned, levelled, filtered."""

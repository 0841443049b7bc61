"""What a series of runs says: its limit, what breaks first, and what to change."""

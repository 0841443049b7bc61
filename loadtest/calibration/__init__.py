"""How far this machine's load generator can be trusted: a server of known delay, and a search."""

"""The docker engine: a stack of containers on this machine's Docker Engine."""

"""What every engine on one machine shares: the state directory, the supervisor, the commands."""

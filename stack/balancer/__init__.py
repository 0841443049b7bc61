"""The built-in balancer: passes each session on to a replica, unparsed."""

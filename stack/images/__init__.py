"""The project's image: replica, collector and load generator in one."""

"""Saved data as tables and text. Pure."""

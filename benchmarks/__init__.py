"""Measurements worth repeating; none of them is a test."""

"""Checks for every kind of component."""

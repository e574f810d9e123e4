"""Checks for components of schedulers."""

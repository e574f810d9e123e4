"""Checks for components of metrics."""

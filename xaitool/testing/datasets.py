"""Checks for components of data sets."""

"""Checks for components of explainers."""

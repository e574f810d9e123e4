"""Checks for components of models."""

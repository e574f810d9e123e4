"""Recipes: reading, checking, resolving and locking them."""

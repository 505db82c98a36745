"""Selectors: which item a table samples next, and which it removes when it is full."""

"""Launchers: what makes a plan real. A new one is one new file."""

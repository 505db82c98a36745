"""The kinds of nodes. One file: one kind and its handle."""

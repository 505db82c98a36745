"""The store: items, selectors, limiters, rows and tables. No sockets, no threads of its own."""

"""The replay buffer's server and clients, and the writers and datasets on top of them."""

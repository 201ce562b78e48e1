"""The sans-I/O core of the Mobile Access Gateway: bytes and `now` in; messages, events out."""

"""What outlasts the gateway, in an SQLite file that a thread of its own writes."""

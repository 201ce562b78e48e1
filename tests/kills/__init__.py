"""A gateway process that is killed at any moment, over an LMA and a packet path that outlast it.

The process is real, and so are SIGKILL and SQLite. Everything that it does to the world goes as one
request after the other to the process that plays the world, which decides where the kill strikes:
before or after a transaction of the journal, a message, an answer, an operation of the packet path.
"""

"""Adapters to the outer world, one a file: sockets, policy, admin API, metrics, logs."""

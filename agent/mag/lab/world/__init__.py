"""Namespaces, links, nodes and processes that the lab is made of."""

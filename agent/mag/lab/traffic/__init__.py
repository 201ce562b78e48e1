"""Probes and a TCP connection that tell what a move costs."""

"""Packet paths behind one Protocol: what is wanted, what is there, and the difference applied."""

"""A Mobile Access Gateway for Proxy Mobile IPv6 (RFC 5213 §6)."""

__version__ = "0.1.0"

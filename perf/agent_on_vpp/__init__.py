"""What the agent on VPP achieves, seen from the nodes and the LMA: `make bench-agent`."""

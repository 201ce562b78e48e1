"""Measurements of vpp-mag: what it costs, beside what VPP's own features cost."""

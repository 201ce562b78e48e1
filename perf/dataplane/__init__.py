"""Clocks per packet of the VPP packet path against VPP's own means, in one VPP process."""

"""The packet path of FD.io VPP with the mag plugin, programmed through VPP's binary API."""

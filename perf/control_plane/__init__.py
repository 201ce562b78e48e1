"""What the agent costs: codec, core, memory and the kernel's packet path."""

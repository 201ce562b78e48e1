"""What the lab's gateways forward with: each packet path as the scenarios see it."""

"""One process: builds everything, owns loop, clock and signals, turns events into effects."""

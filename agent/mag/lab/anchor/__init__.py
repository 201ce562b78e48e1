"""The reference Local Mobility Anchor: a sans-I/O core and the shell around it."""

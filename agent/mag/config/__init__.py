"""The configuration file: what may stand in it, and what an operator is told of mistakes."""

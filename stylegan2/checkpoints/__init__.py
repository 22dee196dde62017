"""File formats of generators, one module each; every reader returns one of our own networks."""

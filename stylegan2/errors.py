"""What this package raises about files and sizes; the engine turns it into sentences for users."""


class CheckpointError(ValueError):
    """A model file is damaged, contradicts itself or holds another kind of network."""

"""What this package raises about files and sizes; the engine turns it into sentences for users."""


class CheckpointError(ValueError):
    """A model file is damaged, contradicts itself or holds another kind of network."""


class UnsupportedCheckpoint(CheckpointError):
    """A file is sound but holds no network that this package knows."""


class UnsafeCheckpoint(CheckpointError):
    """A file names or does what only a file with code in it needs; it was not followed."""

"""The engine of krita-drag: photo -> latent -> drag -> picture, on the command line and for the Krita plugin."""

__version__ = "0.1.0"

"""The engine of krita-drag: photo -> latent -> drag -> picture, on the command line and for the Krita plugin."""

import os

# Threads that wait must sleep: spinning, they take the cores from those that they wait for as soon as the machine is
# busy, and a drag of half a second takes minutes. OpenMP reads this when torch is loaded.
os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")

__version__ = "0.1.0"

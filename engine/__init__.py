"""The engine of krita-drag: photo -> latent -> drag -> picture, on the command line and for the Krita plugin."""

import os

# Threads that wait must soon sleep: spinning, they keep those that they wait for from the cores as soon as the machine
# is busy, and a drag of half a second takes minutes. Asleep at once they wake too late for small work: a thousand
# rounds of waiting cost neither much. OpenMP reads this when torch is loaded.
if "OMP_WAIT_POLICY" not in os.environ:
    os.environ["OMP_WAIT_POLICY"] = "PASSIVE"
    os.environ.setdefault("GOMP_SPINCOUNT", "1000")

__version__ = "0.1.0"

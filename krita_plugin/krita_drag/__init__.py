"""krita-drag inside Krita. Importing it outside Krita does nothing."""

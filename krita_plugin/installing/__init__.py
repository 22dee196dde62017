"""Puts the plugin into Krita; what install.py uses for that, standard library only."""

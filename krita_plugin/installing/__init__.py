"""What install.py is made of, standard library only; `everywhere` is its way into Krita."""

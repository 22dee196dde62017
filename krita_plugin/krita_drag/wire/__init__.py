"""The protocol between plugin and engine: one copy, standard library only."""

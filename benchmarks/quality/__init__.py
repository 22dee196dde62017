"""Judges of drags: measured with something that did not steer them. One command each, see the modules."""

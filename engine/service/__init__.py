"""What gateway and worker are made of; only what the worker is made of imports torch when it is imported."""

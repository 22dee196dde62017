"""What gateway and worker are made of; nothing here but `hosting` and below imports torch when it is imported."""

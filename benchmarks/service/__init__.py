"""The engine as a service: how fast, how sturdy, how patient; `python -m benchmarks.service --help`."""

"""One module for each command of `krita-drag`; each has `run(options) -> exit code`, called by `engine.cli`."""

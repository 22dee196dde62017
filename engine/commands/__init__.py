"""The commands of `krita-drag`: a module with `run(options) -> exit code` for each, called by `engine.cli`.

What several share is in `common`, `searching` (for a photo) and `dragging`; `drag_outputs`, `outcome` and `drag_json`
are what a drag writes, `drag_remote` and `drag_course` a drag by an engine in another process.
"""

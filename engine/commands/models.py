"""`krita-drag models`: what can be had, what is here, and changing it."""

from __future__ import annotations

import argparse
import json
import os
import textwrap
from typing import Any

from krita_drag.wire.errors import BadOption

from engine.arguments import STOPPED
from engine.commands.common import announce_licence, describe, fetch, open_model
from engine.model_file import describe as describe_file
from engine.model_file import require_file
from engine.model_folder import SAMPLE
from engine.models import ModelInfo, ModelStore
from engine.paths import storage_errors
from engine.progress import Progress, stop_on_interrupt
from engine.public_models import PUBLIC_MODELS

_PROXY_VARIABLES = ("http_proxy", "https_proxy", "HTTP_PROXY", "HTTPS_PROXY")


def run(options: argparse.Namespace) -> int:
    """List, fetch, inspect, add, prepare or remove; returns the exit code."""
    store = ModelStore()
    if options.action == "list":
        _list(store)
    elif options.action == "fetch":
        _use_proxy(options.proxy)
        info = describe(store, options.name)
        path = fetch(store, info, Progress(options.quiet))
        print(f"{info.name} is ready: {path}")
    elif options.action == "inspect":
        _inspect(describe_file(options.file))
    elif options.action == "add":
        _add(store, options)
    elif options.action == "prepare":
        return _prepare(store, options)
    else:
        store.remove(options.name)
        print(f"removed {options.name}")
    return 0


def _list(store: ModelStore) -> None:
    installed = {info.name: info for info in store.installed()}
    known = {info.name: info for info in store.catalogue()} | installed
    width = max([len(name) for name in known], default=0)
    for name, info in sorted(known.items(), key=lambda item: (item[0] not in installed, item[0])):
        state = "installed" if name in installed else _how_to_get(info)
        print(f"{name:{width}}  {info.size_text:>13}  {state:<18}  {info.title} ({info.licence})")
    if not known:
        print("No models yet: krita-drag models add FILE.")


def _how_to_get(info: ModelInfo) -> str:
    if info.name in PUBLIC_MODELS and PUBLIC_MODELS[info.name].url is None:
        return "by hand"
    return f"to fetch, {info.size_bytes / 1e6:.0f} MB" if info.size_bytes else "to fetch"


def _use_proxy(proxy: str | None) -> None:
    """Put a proxy where all parts of the program, pip included, look for one."""
    if proxy is None:
        return
    if not proxy.startswith(("http://", "https://")):
        raise BadOption(f"“{proxy}” is no address of a proxy.", "Write it as --proxy http://HOST:PORT.")
    for variable in _PROXY_VARIABLES:
        os.environ[variable] = proxy


def _prepare(store: ModelStore, options: argparse.Namespace) -> int:
    # slow to load, and the other actions do without
    from engine.drag.metric_learning import DEFAULT_SAMPLES as FOR_CHANGES
    from engine.drag.metric_learning import learn_metric
    from engine.inversion.start import DEFAULT_SAMPLES as FOR_PHOTOS
    from engine.inversion.start import prepare

    progress = Progress(options.quiet)
    model = open_model(store, describe(store, options.name), options.device, progress)
    lessons = [("drawing samples", prepare, options.samples or FOR_PHOTOS)]
    if model.metric is None or options.anew:
        lessons.append(("seeing what changes", learn_metric, options.samples or FOR_CHANGES))
    with storage_errors(model.path), stop_on_interrupt(progress) as stop:
        for title, lesson, samples in lessons:
            with progress.steps(title, samples) as bar:
                for done in lesson(model.path, model.generator, samples):
                    bar.update(done - bar.n)
                    if stop.wanted:
                        progress.say("Stopped; the same command goes on from here.")
                        return STOPPED
    print(f"{options.name} is prepared for photos and selections.")
    return 0


def _add(store: ModelStore, options: argparse.Namespace) -> None:
    require_file(options.file)
    Progress().say(f"Reading {options.file.name}, converting it and trying it out: a large one takes half a minute.")
    info = store.add(options.file, options.name, half=options.fp16)
    announce_licence(info)
    print(f"added {info.name}: {info.kind}, {info.size_text}, domain: {info.domain}")
    print(f"what it draws: {store.root / 'models' / info.name / SAMPLE}")


def _inspect(report: dict[str, Any]) -> None:
    """Print what a model file holds."""
    config = report["config"]
    clamp = config.get("conv_clamp")
    alignment = "FFHQ alignment" if report["aligned"] else "no alignment"
    print(f"format        {report['format']}")
    print(f"architecture  {report['kind']}, {config.get('architecture', 'as published')}")
    print(f"picture       {report['width']} x {report['resolution']} px")
    classes = config.get("c_dim", 0)
    print(f"latent        {report['rows']} rows of {config.get('w_dim')}")
    print("classes       " + (f"{classes}, told apart by `drag --class`, from 0 on" if classes else "none"))
    print(f"channels      {', '.join(str(count) for count in _values(config.get('channels', [])))}")
    print("clamp         " + (f"{clamp:g} from {config['fp16_resolution']} px" if clamp else "none"))
    print(f"domain        {report['domain']}, {alignment} (told from names)")
    print(f"sha256        {report['sha256']}")
    for role, network in report.get("networks", {}).items():
        size = f"{network['tensors']} tensors, {network['parameters']:,} numbers"
        print(f"{role:<13} {_quoted(network['class_name'])}, {size}")
        _print_values(network["arguments"])
    if report.get("settings"):
        print("settings")
        _print_values(report["settings"])


def _print_values(values: dict[str, Any]) -> None:
    """Print names and values, separated by semicolons and wrapped."""
    text = "; ".join(f"{_quoted(name)} {_quoted(value)}" for name, value in values.items())
    indent = " " * 14
    print(textwrap.fill(text, 110, initial_indent=indent, subsequent_indent=indent))


def _quoted(value: object) -> str:
    """Text out of a file, fit for a terminal: ASCII without control characters."""
    text = json.dumps(value)
    return text[1:-1] if isinstance(value, str) else text


def _values(channels: Any) -> list[int]:
    return list(channels.values()) if isinstance(channels, dict) else list(channels)

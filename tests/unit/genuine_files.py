"""Model files as their makers write them, made of the recorded networks in tests/golden.

The classes here exist only to be pickled under the names that genuine files have: NVIDIA's persistent objects with
source code in them, TensorFlow-era networks, and checkpoints of rosinality's training script. No genuine TensorFlow
file was at hand: those follow NVIDIA's published description of the format.
"""

from __future__ import annotations

import argparse
import json
import pickle
import sys
import types
from collections import OrderedDict
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np
import torch
from torch import Tensor, nn

GOLDEN = Path(__file__).parent.parent / "golden"
STYLEGAN2_NAMES = ["stylegan2_64_skip_cond3", "stylegan2_32_orig_uncond", "stylegan2_32_resnet_uncond"]
SOURCE = "# the code of the network; the official loader runs it\nraise SystemExit('code of the file was run')\n"

State = dict[str, Tensor]


def golden(name: str) -> dict[str, Any]:
    """The arrays of a recording, with its constructor arguments under "init" where it has them."""
    with np.load(GOLDEN / f"{name}.npz") as file:
        content: dict[str, Any] = {key: torch.from_numpy(file[key]) for key in file.files if key != "init_json"}
        if "init_json" in file.files:
            content["init"] = json.loads(bytes(file["init_json"]))
    return content


def part(content: dict[str, Any], prefix: str) -> State:
    """The tensors whose names begin with `prefix`, without it."""
    return {key[len(prefix) :]: value for key, value in content.items() if key.startswith(prefix)}


class EasyDict(dict[str, Any]):
    """As NVIDIA's: a dict with a class of its own."""

    def __getattr__(self, name: str) -> Any:
        try:
            return self[name]
        except KeyError:
            raise AttributeError(name) from None

    def __setattr__(self, name: str, value: Any) -> None:
        self[name] = value


def _reconstruct_persistent_obj(meta: dict[str, Any]) -> None:
    raise AssertionError("nobody may call this")


class PersistentModule(nn.Module):
    """A module that is pickled as NVIDIA's persistence does it."""

    class_name: str

    def __reduce__(self) -> Any:
        state = {key: value for key, value in self.__dict__.items() if key != "class_name"}
        meta = {
            "type": "class",
            "version": 6,
            "module_src": SOURCE,
            "class_name": self.class_name,
            "state": state,
        }
        return _reconstruct_persistent_obj, (meta,), None


class Network:
    """A TensorFlow-era network, by its pickled state."""

    def __init__(self, state: dict[str, Any]) -> None:
        self.state = state

    def __getstate__(self) -> dict[str, Any]:
        return self.state


@contextmanager
def genuine_names() -> Iterator[None]:
    """Let the classes above be found under the names that genuine files use, for pickling."""
    names: dict[str, dict[str, Any]] = {
        "torch_utils": {},
        "torch_utils.persistence": {"_reconstruct_persistent_obj": _reconstruct_persistent_obj},
        "dnnlib": {},
        "dnnlib.util": {"EasyDict": EasyDict},
        "dnnlib.tflib": {},
        "dnnlib.tflib.network": {"Network": Network},
    }
    for name, members in names.items():
        module = types.ModuleType(name)
        vars(module).update(members)
        for member in members.values():
            member.__module__ = name
        sys.modules[name] = module
    try:
        yield
    finally:
        for name, members in names.items():
            del sys.modules[name]
            for member in members.values():
                member.__module__ = __name__


@contextmanager
def numbered_storages() -> Iterator[None]:
    """Let torch.save number storages, which it names by their addresses: the same network makes the same file."""
    address = torch._C.StorageBase._cdata  # type: ignore[attr-defined]
    numbers: dict[int, int] = {}

    def number(storage: torch.UntypedStorage) -> int:
        return numbers.setdefault(address.__get__(storage), 10**14 + len(numbers))

    torch.UntypedStorage._cdata = property(number)  # type: ignore[assignment]
    try:
        yield
    finally:
        del torch.UntypedStorage._cdata


def nvidia_module(
    state: State, class_name: str, arguments: dict[str, Any], settings: dict[str, Any]
) -> PersistentModule:
    """A tree of persistent modules with these tensors.

    Args:
        settings: conv_clamp, num_fp16_res, lr_multiplier, group_size: what layers remember of their constructor.
    """
    root = PersistentModule()
    root.class_name = class_name
    for name, tensor in state.items():
        *path, leaf = name.split(".")
        module = root
        for i, step in enumerate(path):
            if step not in module._modules:
                child = PersistentModule()
                _describe(child, path[: i + 1], settings)
                module.add_module(step, child)
            module = module._modules[step]  # type: ignore[assignment]
        if leaf in ("resample_filter", "noise_const", "w_avg"):
            module.register_buffer(leaf, tensor.clone())
        else:
            module.register_parameter(leaf, nn.Parameter(tensor.clone(), requires_grad=False))
    vars(root).update(arguments, _init_args=(), _init_kwargs=EasyDict(arguments))
    return root


def _describe(module: PersistentModule, path: list[str], settings: dict[str, Any]) -> None:
    """Give a layer the attributes that the official class would have."""
    kind = path[-1]
    blocks = [step for step in path if step[0] == "b" and step[1:].isdigit()]
    resolution = int(blocks[-1][1:]) if blocks else 0
    module.class_name = {"mapping": "MappingNetwork", "synthesis": "SynthesisNetwork"}.get(kind, "SynthesisLayer")
    if resolution:
        lowest = (
            settings["img_resolution"] >> (settings.get("num_fp16_res", 0) - 1) if settings.get("num_fp16_res") else 0
        )
        clamps = settings.get("clamp_all") or (lowest and resolution >= lowest)
        module.resolution = resolution
        module.use_fp16 = bool(lowest and resolution >= lowest)
        module.conv_clamp = settings.get("conv_clamp") if clamps else None
        module.activation = "linear" if kind in ("torgb", "skip", "out", "affine") else "lrelu"
    if kind.startswith("fc"):
        rate = settings.get("lr_multiplier", 0.01)
        module.weight_gain = np.float64(rate / 8)  # as numpy's sqrt leaves it
        module.bias_gain = rate


def nvidia_file(
    name: str, protocol: int = 4, change: Callable[[dict[str, State]], None] | None = None, **settings: Any
) -> bytes:
    """A recorded pair as stylegan2-ada-pytorch saves it.

    Args:
        name: of the recording.
        protocol: of the pickle.
        change: applied to the state dicts {"G", "D"} first.
        settings: see `nvidia_module`; "G" may hold further or other arguments of the generator.
    """
    content = golden(name)
    states = {"G": part(content, "G."), "D": part(content, "D.")}
    if change is not None:
        change(states)
    init = content["init"]
    settings.setdefault("img_resolution", init["G"]["img_resolution"])
    arguments = {"G": init["G"] | settings.pop("arguments", {}), "D": init["D"]}
    return nvidia_pickle(states, arguments, settings, protocol)


def nvidia_pickle(
    states: dict[str, State], arguments: dict[str, dict[str, Any]], settings: dict[str, Any], protocol: int = 4
) -> bytes:
    """Networks as stylegan2-ada-pytorch saves them, from state dicts and arguments of "G" and "D"."""
    with genuine_names():
        root = {
            "G": nvidia_module(states["G"], "Generator", arguments["G"], settings),
            "D": nvidia_module(states["D"], "Discriminator", arguments["D"], settings),
            "G_ema": nvidia_module(states["G"], "Generator", arguments["G"], settings),
            "training_set_kwargs": EasyDict(
                class_name="training.dataset.ImageFolderDataset", path="./datasets/ffhq.zip", max_size=np.int64(70000)
            ),
            "augment_pipe": None,
            "progress": {"cur_nimg": torch.zeros([], dtype=torch.int64), "seen": {1, 2}, "mean": np.float32(0.5)},
        }
        return pickle.dumps(root, protocol=protocol)


def tensorflow_file(name: str, protocol: int = 4, grown: bool = False, **settings: Any) -> bytes:
    """A recorded pair as the TensorFlow code saves it: (G, D, Gs).

    Args:
        grown: name the layers to and from RGB by level of detail, as networks that grew do.
    """
    content = golden(name)
    init = content["init"]["G"]
    states = {"G": part(content, "G."), "D": part(content, "D.")}
    return tensorflow_pickle(states, init["img_resolution"], init["c_dim"], protocol, grown, settings)


def tensorflow_pickle(
    states: dict[str, State],
    resolution: int,
    c_dim: int = 0,
    protocol: int = 4,
    grown: bool = False,
    settings: dict[str, Any] | None = None,
) -> bytes:
    """Networks as the TensorFlow code saves them, from state dicts of "G" and "D" in NVIDIA's PyTorch names."""
    g = {_tf_name(key): _tf_values(key, value) for key, value in _without_filters(states["G"]).items()}
    d = {_tf_d_name(key): _tf_values(key, value) for key, value in _without_filters(states["D"]).items()}
    if grown:
        top = f"{resolution}x{resolution}"
        for variables in (g, d):
            for key in [key for key in variables if f"{top}/ToRGB" in key or f"{top}/FromRGB" in key]:
                renamed = key.replace(f"{top}/ToRGB", "ToRGB_lod0").replace(f"{top}/FromRGB", "FromRGB_lod0")
                variables[renamed] = variables.pop(key)
        g["synthesis/ToRGB_lod1/weight"] = np.zeros((1, 1, 32, 3), np.float32)
        g["synthesis/lod"] = np.float32(0.0)
    static = {"num_channels": 3, "resolution": resolution, "label_size": c_dim, "resample_kernel": [1, 3, 3, 1]}
    static |= {"func_name": "training.networks_stylegan2.G_main", "architecture": "skip"} | (settings or {})
    with genuine_names():
        generator, averaged = (_tf_generator(name, g, static) for name in ("G", "Gs"))
        discriminator = _tf_network("D", d, EasyDict(static), EasyDict())
        return pickle.dumps((generator, discriminator, averaged), protocol=protocol)


def nvidia_state(generator: nn.Module) -> State:
    """The state of one of our generators under NVIDIA's names."""
    state = {
        key.replace("synthesis_network.", "synthesis.").replace("mapping_network.", "mapping."): value
        for key, value in generator.state_dict().items()
    }
    return state | {"mapping.w_avg": torch.zeros(state["mapping.fc0.bias"].shape)}


def _tf_generator(name: str, variables: dict[str, Any], static: dict[str, Any]) -> Network:
    """A generator of its own, as both are in genuine files: pickle would write shared arrays once."""
    variables = {key: value.copy() for key, value in variables.items()}
    components = EasyDict()
    for component in ("mapping", "synthesis"):
        own = {key[len(component) + 1 :]: value for key, value in variables.items() if key.startswith(component)}
        components[component] = _tf_network(f"G_{component}", own, EasyDict(static), EasyDict())
    top_level = {key: value for key, value in variables.items() if "/" not in key}
    return _tf_network(name, top_level, EasyDict(static), components)


def _tf_network(name: str, variables: dict[str, Any], static: EasyDict, components: EasyDict) -> Network:
    return Network(
        {
            "version": 4,
            "name": name,
            "static_kwargs": static,
            "components": components,
            "build_module_src": SOURCE,
            "build_func_name": "G_main",
            "variables": list(variables.items()),
        }
    )


def _without_filters(state: State) -> State:
    return {key: value for key, value in state.items() if not key.endswith("resample_filter")}


def _tf_name(name: str) -> str:
    if name == "mapping.w_avg":
        return "dlatent_avg"
    steps = name.split(".")
    if steps[0] == "mapping":
        layer = "LabelEmbed" if steps[1] == "embed" else f"Dense{steps[1][2:]}"
        return f"mapping/{layer}/{steps[2]}"
    block, rest = steps[1], steps[2:]
    size = f"{block[1:]}x{block[1:]}"
    if rest == ["const"]:
        return "synthesis/4x4/Const/const"
    if rest[-1] == "noise_const":
        level = int(np.log2(int(block[1:]))) - 2
        return f"synthesis/noise{2 * level - (rest[0] == 'conv0')}"
    layers = {"conv0": "Conv0_up", "conv1": "Conv" if block == "b4" else "Conv1", "torgb": "ToRGB", "skip": "Skip"}
    end = {"affine.weight": "mod_weight", "affine.bias": "mod_bias"}.get(".".join(rest[1:]), rest[-1])
    return f"synthesis/{size}/{layers[rest[0]]}/{end}"


def _tf_d_name(name: str) -> str:
    steps = name.split(".")
    if steps[0] == "mapping":
        return f"{'LabelEmbed' if steps[1] == 'embed' else 'Mapping' + steps[1][2:]}/{steps[2]}"
    if steps[1] in ("fc", "out"):
        return f"{'4x4/Dense0' if steps[1] == 'fc' else 'Output'}/{steps[2]}"
    layers = {"fromrgb": "FromRGB", "conv0": "Conv0", "conv1": "Conv1_down", "skip": "Skip", "conv": "Conv"}
    return f"{steps[0][1:]}x{steps[0][1:]}/{layers[steps[1]]}/{steps[2]}"


def _tf_values(name: str, tensor: Tensor) -> Any:
    """The inverse of what the reader must do."""
    array = tensor.numpy()
    if name.endswith("affine.bias"):
        return array - 1
    if name.endswith("noise_strength"):
        return np.float32(array)
    if name.endswith("noise_const"):
        return array[None, None]
    if name.endswith("const"):
        return array[None]
    if array.ndim == 4:
        turned = name.startswith("synthesis") and (".conv0." in name or ".skip." in name)
        return np.ascontiguousarray((array[:, :, ::-1, ::-1] if turned else array).transpose(2, 3, 1, 0))
    return np.ascontiguousarray(array.T)


def rosinality_state() -> State:
    """The recorded generator of rosinality's kind."""
    return part(golden("rosinality_64"), "g_ema.")


def save_rosinality(
    path: Path | BinaryIO, *, legacy: bool = False, training: bool = False, state: State | None = None
) -> None:
    """A checkpoint as its conversion script (or its training script) saves it."""
    own = OrderedDict(state if state is not None else rosinality_state())
    content: dict[str, Any] = {"g_ema": own, "latent_avg": torch.zeros(32)}
    if training:
        optimiser = {
            "state": {0: {"step": 3, "exp_avg": torch.ones(4)}},
            "param_groups": [{"lr": 0.002, "params": [0]}],
        }
        content = {"g": own, "g_ema": own, "g_optim": optimiser}
        content["args"] = argparse.Namespace(size=64, channel_multiplier=2, path="faces.lmdb")
    torch.save(content, path, _use_new_zipfile_serialization=not legacy)

"""Files that want something to happen when they are opened, or ask for more than the machine has.

Each is written instruction by instruction, since no pickler would. Wherever code could run, it would make the file
"canary"; no test may ever find that.
"""

from __future__ import annotations

import io
import pickle
import struct
import zipfile
from collections.abc import Iterator
from pathlib import Path

from stylegan2.checkpoints.torch_files import LEGACY_MAGIC

MIB = 1 << 20
Attack = tuple[str, bytes, str]  # name, file, pattern in the refusal


def text(value: str) -> bytes:
    return b"X" + struct.pack("<I", len(value.encode())) + value.encode()


def number(value: int) -> bytes:
    return b"J" + struct.pack("<i", value) if abs(value) < 1 << 31 else b"\x8a\x08" + struct.pack("<q", value)


def data(value: bytes) -> bytes:
    return b"B" + struct.pack("<I", len(value)) + value


def items(*values: bytes) -> bytes:
    return b"(" + b"".join(values) + b"t"


def entries(**values: bytes) -> bytes:
    return b"}(" + b"".join(text(key) + value for key, value in values.items()) + b"u"


def name(full: str) -> bytes:
    module, _, attribute = full.rpartition(".")
    return b"c" + module.encode() + b"\n" + attribute.encode() + b"\n"


def stacked_name(module: str, attribute: str) -> bytes:
    return text(module) + text(attribute) + b"\x93"


def call(full: str, *arguments: bytes) -> bytes:
    return name(full) + items(*arguments) + b"R"


def file(body: bytes, protocol: int = 4) -> bytes:
    return b"\x80" + bytes([protocol]) + body + b"."


def model(network: bytes) -> bytes:
    """A file like NVIDIA's with this in the place of its generator."""
    return file(entries(G=b"N", D=b"N", G_ema=network, training_set_kwargs=b"N"))


def persistent(
    state: bytes = b"}", source: str = "x = 1", class_name: str = "Generator", further: bytes = b""
) -> bytes:
    meta = entries(
        type=text("class"),
        version=number(6),
        module_src=text(source),
        class_name=text(class_name),
        state=state,
    )
    return call("torch_utils.persistence._reconstruct_persistent_obj", meta[:-1] + further + b"u")


def legacy(body: bytes, machine: bytes | None = None, keys: bytes = b"].", raw: bytes = b"") -> bytes:
    """A file of torch.save from before 1.6."""
    start = pickle.dumps(LEGACY_MAGIC, 2) + pickle.dumps(1001, 2)
    return start + (machine or pickle.dumps({"little_endian": True}, 2)) + file(body, 2) + keys + raw


def from_bytes(content: bytes) -> bytes:
    return call("torch.storage._load_from_bytes", data(content))


def identity(length: int) -> bytes:
    return items(text("storage"), name("torch.FloatStorage"), text("0"), text("cpu"), number(length), b"N") + b"Q"


def storage(length: int, said: int | None = None, raw: bytes = bytes(16)) -> bytes:
    header = struct.pack("<q", length if said is None else said)
    return from_bytes(legacy(identity(length), keys=pickle.dumps(["0"], 2), raw=header + raw))


def tensor(store: bytes, offset: int, shape: list[int], strides: list[int]) -> bytes:
    sides, steps = items(*map(number, shape)), items(*map(number, strides))
    hooks = name("collections.OrderedDict") + b")R"
    return call("torch._utils._rebuild_tensor_v2", store, number(offset), sides, steps, b"\x89", hooks)


def with_parameters(*tensors: bytes) -> bytes:
    own = entries(**{f"w{i}": value for i, value in enumerate(tensors)})
    return model(persistent(entries(_parameters=own, _buffers=b"}", _modules=b"}")))


def archive(members: dict[str, bytes], compression: int = zipfile.ZIP_STORED) -> bytes:
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w", compression) as target:
        for member, content in members.items():
            target.writestr(member, content)
    return stream.getvalue()


def attacks(canary: Path) -> Iterator[Attack]:
    """All of them."""
    command = f"touch {canary}"
    shell = call("posix.system", text(command))
    evaluated = f"__import__('os').system('{command}')"
    yield from _direct_calls(command, shell, evaluated)
    yield from _hidden_calls(command, shell, evaluated)
    yield from _lying_tensors()
    yield from _exhausting()
    yield from _odd_values()
    yield from _archives(shell)
    yield "web page", b"<!DOCTYPE html><html>quota exceeded</html>", "a web page"
    yield "pointer", b"version https://git-lfs.github.com/spec/v1\noid sha256:00\n", "Git LFS pointer"
    yield "empty", b"", "it is empty"
    yield "text", b"hello", "in no format"


def _direct_calls(command: str, shell: bytes, evaluated: str) -> Iterator[Attack]:
    program = b"](" + b"".join(text(word) for word in command.split()) + b"e"
    imported = call("importlib.import_module", text("os"))
    yield "os.system", file(shell), r"posix\.system"
    yield "os.system, protocol 0", f"cposix\nsystem\n(V{command}\ntR.".encode(), "in no format"
    yield "eval", file(call("builtins.eval", text(evaluated))), r"builtins\.eval"
    yield "exec in a model", model(call("builtins.exec", text(evaluated))), r"builtins\.exec"
    yield "getattr", file(call("builtins.getattr", imported, text("system")) + items(text(command)) + b"R"), "getattr"
    yield "subprocess", file(call("subprocess.call", program)), r"subprocess\.call"
    yield "partial", file(call("functools.partial", name("os.system"), text(command)) + b")R"), r"functools\.partial"
    yield "Python 2", file(call("__builtin__.eval", text(evaluated)), 2), r"__builtin__\.eval"
    yield "INST", file(b"(" + text(command) + b"ios\nsystem\n"), r"os\.system"
    yield "OBJ", file(b"(" + name("os.system") + text(command) + b"o"), r"os\.system"
    yield "NEWOBJ", file(name("subprocess.Popen") + items(program) + b"\x81"), r"subprocess\.Popen"
    yield "NEWOBJ_EX", file(name("subprocess.Popen") + items(program) + b"}\x92"), r"subprocess\.Popen"
    yield "NEWOBJ_EX of a known name", file(name("collections.OrderedDict") + b")}\x92"), "NEWOBJ_EX"
    yield "EXT1", file(b"\x82\x01"), "EXT1"
    yield "EXT4", file(b"\x84\x01\x00\x00\x00"), "EXT4"
    yield "PERSID", file(b"Pfoo\n"), "PERSID"
    yield "BINPERSID", file(text("foo") + b"Q"), "persistent ids"
    yield "out-of-band buffer", file(b"\x97"), "NEXT_BUFFER"


def _hidden_calls(command: str, shell: bytes, evaluated: str) -> Iterator[Attack]:
    meta_type = entries(type=text("function"), version=number(6), module_src=text(""), class_name=text("x"), state=b"}")
    reconstruct = "torch_utils.persistence._reconstruct_persistent_obj"
    yield "in a state", model(persistent(entries(_parameters=shell))), r"posix\.system"
    yield "dotted class", model(persistent(class_name="os.system")), r"os\.system"
    yield "further field", model(persistent(further=text("hook") + number(1))), "hook"
    yield "other type", model(call(reconstruct, meta_type)), "unknown field or type"
    yield "dotted name", file(stacked_name("dnnlib.util", "os.system") + items(text(command)) + b"R"), r"os\.system"
    yield "dotted storage", file(stacked_name("torch.storage", "io.open") + items(text("x")) + b"R"), r"io\.open"
    yield "torch.load", file(call("torch.load", text("x"))), r"torch\.load"
    yield "torch.hub.load", file(call("torch.hub.load", text("a"))), r"torch\.hub\.load"
    yield "persistence's own", file(call("torch_utils.persistence._src_to_module", text(evaluated))), "_src_to_module"
    yield "prefix of modules", file(stacked_name("torch.nn.modules.module", "os.system")), r"module\.os\.system"
    yield "module called", file(call("torch.nn.modules.linear.Linear", number(9), number(9))), "it calls torch.nn"
    yield (
        "module with arguments",
        file(name("torch.nn.modules.linear.Linear") + items(number(9)) + b"\x81"),
        "arguments",
    )
    yield "numpy.load", file(call("numpy.load", text("x"))), r"numpy\.load"
    yield (
        "getattr on a known name",
        file(call("builtins.getattr", name("collections.OrderedDict"), text("fromkeys"))),
        "builtins.getattr",
    )
    yield "call of a call", file(call("collections.OrderedDict") + b")R"), "it calls a dict"
    yield "nested", model(from_bytes(legacy(shell))), r"posix\.system"
    yield "nested machine", model(from_bytes(legacy(b"N", machine=file(shell, 2)))), r"posix\.system"
    yield "nested keys", model(from_bytes(legacy(b"N", keys=file(shell, 2)))), r"posix\.system"
    yield "nested plain pickle", model(from_bytes(file(shell, 2))), r"posix\.system"
    yield "nested twice", model(from_bytes(legacy(from_bytes(legacy(shell))))), "_load_from_bytes inside"
    yield "nested archive", model(from_bytes(archive({"a/data.pkl": file(shell, 2)}))), "PK|instruction"
    yield "nested other", model(from_bytes(legacy(b"N"))), "hold something else"
    yield "encode", file(call("_codecs.encode", text("x"), text("rot13"))), r"_codecs\.encode"
    yield (
        "build a dict's class",
        file(name("dnnlib.util.EasyDict") + b")\x81" + entries(a=name("os.system")) + b"b"),
        "os",
    )
    yield "build on a name", file(name("collections.OrderedDict") + b"}b"), "changes the state of collections"
    yield (
        "items of a tensor",
        with_parameters(tensor(storage(4), 0, [4], [1]) + number(10**6) + number(7) + b"s"),
        "items",
    )
    yield "append to a set", file(b"\x8f" + number(1) + b"a"), "appends to a set"
    yield "elements of a list", file(b"](" + number(1) + b"\x90"), "adds elements"


def _lying_tensors() -> Iterator[Attack]:
    four = storage(4)
    yield "storage of 1e12", with_parameters(tensor(storage(10**12), 0, [4], [1])), "announced"
    yield "storage says other", with_parameters(tensor(storage(4, said=10**9), 0, [4], [1])), "4 elements comes with"
    yield "storage cut off", with_parameters(tensor(storage(10**6, raw=b"1234"), 0, [4], [1])), "announced"
    yield "storage negative", with_parameters(tensor(storage(-5), 0, [4], [1])), "no length"
    yield "tensor of 1e12", with_parameters(tensor(four, 0, [10**6, 10**6], [10**6, 1])), "1,000,000,000,000"
    yield "stride 0", with_parameters(tensor(four, 0, [10**4, 10**4], [0, 0])), "larger than a file"
    yield "stride 0, small", with_parameters(tensor(four, 0, [100, 100], [0, 0])), "beyond its data"
    yield "out of range", with_parameters(tensor(four, 0, [4000], [1])), "beyond its data"
    yield "negative stride", with_parameters(tensor(four, 3, [4], [-1])), "strange shape"
    yield "negative offset", with_parameters(tensor(four, -100, [4], [1])), "strange shape"
    yield "negative side", with_parameters(tensor(four, 0, [-4], [1])), "strange shape"
    yield "many dimensions", with_parameters(tensor(four, 0, [1] * 30, [1] * 30)), "strange shape"
    big = b"0" + storage(1 << 18, raw=bytes(MIB)) + b"q\x05"
    views = [tensor(b"h\x05", 0, [1 << 18], [1]) for _ in range(30)]
    first = tensor(big[1:], 0, [4], [1])
    yield "many views", with_parameters(first, *views), "larger than a file"
    yield (
        "numpy lies",
        file(_array(items(number(10**4), number(10**4)), b"1234")),
        "larger than a file|bytes that it claims",
    )
    yield "numpy lies, small", file(_array(items(number(100)), b"1234")), "bytes that it claims"
    yield "numpy objects", file(call("numpy.dtype", text("O8"), b"\x89", b"\x88")), "type O8,"
    yield "numpy structures", file(call("numpy.dtype", text("V8"), b"\x89", b"\x88")), "type V8,"
    fields = items(number(3), text("<"), b"N", items(text("x")), b"}", number(-1), number(-1), number(0))
    yield "numpy fields", file(call("numpy.dtype", text("f4")) + fields + b"b"), "structured"


def _array(shape: bytes, content: bytes) -> bytes:
    empty = call("numpy.core.multiarray._reconstruct", name("numpy.ndarray"), items(number(0)), data(b"b"))
    return empty + items(number(1), shape, call("numpy.dtype", text("f4")), b"\x89", data(content)) + b"b"


def _exhausting() -> Iterator[Attack]:
    yield "LONG4", file(b"\x8b" + struct.pack("<i", 2**31 - 1) + b"\1" * 100), "bytes"
    yield "LONG4 negative", file(b"\x8b" + struct.pack("<i", -5)), "bytes"
    yield "memo index", file(b"Nr" + struct.pack("<I", 2**32 - 1) + b"0"), "missing"
    yield "BINBYTES8", file(b"\x8e" + struct.pack("<Q", 2**62) + b"x"), "announced"
    yield "text too long", file(b"\x8d" + struct.pack("<Q", 2**63) + b"x"), "announced"
    yield "frame", b"\x80\x04\x95" + struct.pack("<Q", 2**62) + b"N.", "holds no StyleGAN2"
    yield "deep tuple as a key", file(b"}" + b")" + b"\x85" * 100_000 + b"Ns"), "tuple as a key"
    yield "deep list", file(b"]" * 150_000 + b"a" * 149_999), "holds no StyleGAN2"
    yield "deep list in a model", file(entries(G_ema=persistent(), x=b"]" * 1000 + b"a" * 999)), "too deeply"
    yield "marks", b"\x80\x04" + b"(" * 20_000_000, "values wait at once"
    yield "steps", file(b"N0" * 10_000_000 + b"N"), "steps to read"
    loop = (
        name("dnnlib.tflib.network.Network")
        + b")\x81q\x00"
        + entries(version=number(4), components=entries(a=b"h\x00", b=b"h\x00"), variables=b"]")
    )
    yield "cycle", file(loop + b"b" + b"h\x00h\x00\x87"), "nested too deeply"
    laughs = b"]q\x00" + b"".join(b"0](h" + bytes([k, 104, k]) + b"eq" + bytes([k + 1]) for k in range(60))
    yield "billion laughs", file(entries(G_ema=persistent(), x=laughs)), "too many times"
    yield "laughs as arguments", model(persistent(entries(_init_kwargs=entries(a=laughs)))), "too many times"
    yield from _multiplying(laughs)
    itself = b"}q\x05(" + text("G_ema") + b"h\x05u"
    yield "dict in itself", model(itself), "holds no StyleGAN2"
    module = persistent(entries(_modules=b"}q\x06(" + text("a") + persistent(entries(_modules=b"h\x06")) + b"u"))
    yield "module in itself", model(module), "nested too deeply"


def _multiplying(laughs: bytes) -> Iterator[Attack]:
    """What is small in the file and large wherever it is copied, joined or shown."""
    again = b"0h\x01h\x02h\x03\x86R" * 100_000
    encode = name("_codecs.encode") + b"q\x010" + text("a" * MIB) + b"q\x020" + text("latin1") + b"q\x03"
    yield "encode again", file(encode + again), "larger than a file"
    pairs = b"](" + b"".join(number(i) + b"N\x86" for i in range(10_000)) + b"eq\x020"
    for kind, member in (("dict", "collections.OrderedDict"), ("set", "builtins.set")):
        values = pairs if kind == "dict" else pairs.replace(b"N\x86", b"")
        yield f"{kind} again", file(name(member) + b"q\x010" + values + b"h\x01h\x02\x85R0" * 10_000), "steps to read"
    meta = entries(type=text("class"), version=laughs, module_src=text(""), class_name=text("A"), state=b"}")
    known = "torch_utils.persistence._reconstruct_persistent_obj"
    yield "laughs as a version", model(call(known, meta)), "unknown version a list"
    yield "laughs as a class", model(call(known, meta.replace(laughs, number(6)).replace(text("A"), laughs))), "a list"
    yield "laughs as a type", file(call("numpy.dtype", laughs)), "numpy type a list"
    network = name("dnnlib.tflib.network.Network") + b")\x81" + entries(version=number(4), name=laughs) + b"b"
    yield "laughs as a name", file(network + b"NN\x87"), "holds no StyleGAN2"
    yield "laughs as three names", file(network + b"q\xffh\xffh\xff\x87"), "another kind than StyleGAN2"
    yield "long key", file(b"}" + text("a" * 1000) + b"Ns"), "1,000 characters as a key"
    many = b"".join(text(f"a{i}") + number(i) for i in range(3000))
    child = persistent(b"}(" + many + text("_modules") + b"}u") + b"q\xff0"
    children = b"}(" + b"".join(text(f"m{i}") + b"h\xff" for i in range(3000)) + b"u"
    yield "attributes again", file(child + entries(G_ema=persistent(entries(_modules=children)))), "too many times"
    variables = b"](" + b"".join(text(f"v{i}") + b"G" + bytes(8) + b"\x86" for i in range(3000)) + b"e"
    part = name("dnnlib.tflib.network.Network") + b")\x81" + entries(variables=variables) + b"bq\xff0"
    whole = name("dnnlib.tflib.network.Network") + b")\x81" + entries(components=children) + b"b"
    yield "variables again", file(part + whole + b"q\xfeh\xfeh\xfe\x87"), "too many times"
    settings = b"](" + text("a" * MIB) + b"q\x01" + b"h\x01" * 20_000 + b"e"
    yield "long settings", file(entries(x=settings, G_ema=persistent())), "blocks of the discriminator"
    escape = persistent(entries(_modules=entries(a=persistent(entries(activation=text("\x1b[2J" + "b" * 10_000))))))
    yield "escape sequence", model(escape), r"x1b\[2Jb+"


def _odd_values() -> Iterator[Attack]:
    yield "nothing on the stack", file(b"RRRR"), "missing"
    yield "list as a key", file(b"}]Ns"), "list as a key"
    yield "key without value", file(b"}(" + text("a") + b"u"), "no value"
    yield "name without text", file(b"NN\x93"), "no text"
    yield "unknown memo", file(b"h\x07"), "does not have"
    yield "left over", file(b"NNN"), "left over"
    yield "future protocol", b"\x80\x09N.", "version 9"
    yield "no end", b"\x80\x04N", "ends in the middle"
    yield "broken text", file(b"X\x02\x00\x00\x00\xff\xfe"), "garbled"
    yield "network of nothing", model(persistent()), "blocks of the discriminator"
    yield "half a tensor", with_parameters(call("torch._utils._rebuild_tensor_v2", storage(4))), "1 arguments"
    yield (
        "parameter of nothing",
        with_parameters(call("torch._utils._rebuild_parameter", b"N", b"\x88", b"N")),
        "no tensor",
    )


def _archives(shell: bytes) -> Iterator[Attack]:
    weights = entries(g_ema=entries(w=tensor(identity(10**9), 0, [4], [1])))
    changed = tensor(identity(4), 0, [4], [1]) + number(10**8) + number(7) + b"s"
    yield "archive: bomb", archive({"a/data.pkl": bytes(1 << 24)}, zipfile.ZIP_DEFLATED), "compressed"
    yield "archive: call", archive({"a/data.pkl": file(shell, 2)}), r"posix\.system"
    yield "archive: code", archive({"a/data.pkl": file(b"}", 2), "a/code/__torch__.py": b"x"}), "__torch__.py"
    yield "archive: constants", archive({"a/data.pkl": file(b"}", 2), "a/constants.pkl": b"x"}), "constants.pkl"
    yield "archive: lies", archive({"a/data.pkl": file(weights, 2), "a/data/0": bytes(16)}), "another size|of another"
    yield "archive: missing", archive({"a/data.pkl": file(weights, 2)}), "missing"
    yield "archive: items", archive({"a/data.pkl": file(changed, 2), "a/data/0": bytes(16)}), "items of a TensorView"
    yield "archive: many", archive({f"a/data/{i}": b"" for i in range(25_000)}), "members|too large"
    yield "archive: none", b"PK\x03\x04" + b"\xff" * 1000, "ZIP directory"
    yield "archive: other", archive({"a/readme.txt": b"hello"}), "not one of torch.save"
    yield "archive: big-endian", archive({"a/data.pkl": file(b"}", 2), "a/byteorder": b"big"}), "big-endian"
    cut = bytearray(archive({"a/data.pkl": file(b"}", 2), "a/data/0": bytes(64)}))
    start = cut.rindex(b"PK\x01\x02")
    cut[start + 42 : start + 46] = struct.pack("<I", len(cut) - 8)
    yield "archive: offset", bytes(cut), "cut off"

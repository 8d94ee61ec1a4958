"""What examples/convert_checkpoint.py makes of checkpoints, judged by the library and by the goldens.
usage: convert.py SOURCE LIBRARY WORK_FOLDER"""
import contextlib
import ctypes
import importlib.util
import io
import json
import math
import os
import re
import struct
import subprocess
import sys

import torch
from torch.nn.functional import unfold

SOURCE, LIBRARY, WORK = sys.argv[1:4]
SCRIPT = os.path.join(SOURCE, "examples", "convert_checkpoint.py")
failures = 0


def check(what, holds, why=""):
    global failures
    print(f"ok: {what}" if holds else f"FAILED: {what} {why}", flush=True)
    failures += not holds


def path(name):
    return os.path.join(WORK, name)


def read_bytes(name):
    with open(name, "rb") as file:
        return file.read()


# ---- the library ----

with open(os.path.join(SOURCE, "include", "linfdist", "linfdist.h")) as header:
    KINDS = {word.lower() for word in re.findall(r"\bLINFDIST_LAYER_([A-Z_]+) *=", header.read())}


class Failure(Exception):
    pass


class Library:
    def __init__(self):
        self.call = ctypes.CDLL(LIBRARY)
        self.call.linfdist_last_error.restype = ctypes.c_char_p
        self.context = ctypes.c_void_p()
        self.ask("linfdist_context_create", None, ctypes.byref(self.context))

    def ask(self, function, *arguments):
        status = getattr(self.call, function)(*arguments)
        if status != 0:
            raise Failure(self.call.linfdist_last_error().decode())

    def evaluate(self, file, x):
        """What the model of this file puts out for x, and the bytes it saves."""
        model, run = ctypes.c_void_p(), ctypes.c_void_p()
        out, classes = ctypes.POINTER(ctypes.c_float)(), ctypes.c_int64()
        x = x.flatten(1).contiguous()
        batch, n_in = x.shape
        self.ask("linfdist_model_load", self.context, file.encode(), ctypes.byref(model))
        try:
            self.ask("linfdist_run_create", model, ctypes.c_int32(0), ctypes.c_int64(batch), ctypes.byref(run))
            self.ask("linfdist_forward", run, ctypes.c_void_p(x.data_ptr()), ctypes.c_int64(n_in),
                     ctypes.c_int64(batch), ctypes.c_int32(0), ctypes.c_float(math.inf))
            self.ask("linfdist_run_outputs", run, ctypes.byref(out), None, ctypes.byref(classes))
            outputs = torch.tensor(out[:batch * classes.value], dtype=torch.float64).view(batch, -1)
            self.ask("linfdist_model_save", model, path("again.safetensors").encode())
        finally:
            self.call.linfdist_run_destroy(run)
            self.call.linfdist_model_destroy(model)
        return outputs, read_bytes(path("again.safetensors"))


def read_safetensors(name):
    """The tensors and the metadata of a file."""
    data = read_bytes(name)
    size, = struct.unpack_from("<Q", data)
    header = json.loads(data[8:8 + size])
    metadata = header.pop("__metadata__")
    kinds = {"F32": torch.float32, "F64": torch.float64, "I32": torch.int32}
    tensors = {}
    for key, entry in header.items():
        first, last = (8 + size + offset for offset in entry["data_offsets"])
        flat = torch.frombuffer(bytearray(data[first:last]), dtype=kinds[entry["dtype"]])
        tensors[key] = flat.view(entry["shape"])
    return tensors, metadata


# ---- the script ----

spec = importlib.util.spec_from_file_location("convert_checkpoint", SCRIPT)
script = importlib.util.module_from_spec(spec)
spec.loader.exec_module(script)


def convert(checkpoint, output, *flags):
    """The exit status and what it said."""
    said = io.StringIO()
    sys.argv = ["convert_checkpoint.py", checkpoint, output, *flags]
    with contextlib.redirect_stdout(said), contextlib.redirect_stderr(said):
        try:
            status = script.main()
        except SystemExit as end:
            status = end.code
    return status, said.getvalue()


def convert_state(state, output, *flags):
    torch.save(state, path("state.pth"))
    return convert(path("state.pth"), output, *flags)


# ---- nets in plain formulas, in double ----


def add_block(state, name, rows, columns):
    state[name + ".weight"] = torch.randn(rows, columns)
    state[name + ".mean_shift.running_mean"] = torch.randn(rows)


def add_head(state, head, n_in, classes=10, hidden=7):
    if head == "linear":
        for name, rows, columns in (("fc_linear.0", hidden, n_in), ("fc_final", classes, hidden)):
            state[name + ".weight"] = torch.randn(rows, columns)
            state[name + ".bias"] = torch.randn(rows)
    else:
        name = f"fc_dist.{sum(key.startswith('fc_dist') for key in state) // 2}"
        state[name + ".weight"] = torch.randn(classes, n_in)
        state[name + ".bias"] = torch.randn(classes)
        if head == "scalar":
            state["scalar"] = torch.tensor([1.75])
    return state


def make_dense(n_in, depth, head):
    state = {}
    for i in range(depth):
        add_block(state, f"fc_dist.{i}", 24, n_in)
        n_in = 24
    return add_head(state, head, n_in)


def make_conv(channels, features, head):
    state = {}
    for i, rows in enumerate((3, 3, 6, 6, 6)):
        add_block(state, f"conv_dist.{i}", rows, channels * 9)
        channels = rows
    add_block(state, "fc_dist.0", 24, features)
    return add_head(state, head, 24)


def evaluate(state, x, strides=(1, 1, 2, 1, 1)):
    """Logits at p = infinity with the running means."""
    w = {key: value.double() for key, value in state.items()}
    x = x.double()
    for name in [key[:-7] for key in state if key.endswith(".weight") and "_dist" in key]:
        if name.startswith("conv"):
            stride = strides[int(name[10:])]
            sides = [(side - 1) // stride + 1 for side in x.shape[2:]]
            columns = unfold(x, 3, padding=1, stride=stride)
        else:
            sides = []
            columns = x.flatten(1).unsqueeze(-1)
        x = (columns.unsqueeze(1) - w[name + ".weight"][None, :, :, None]).abs().amax(2)
        mean = w.get(name + ".mean_shift.running_mean")
        x = x + w[name + ".bias"][:, None] if mean is None else x - mean[:, None]
        x = x.view(*x.shape[:2], *sides)
    if "fc_final.weight" not in w:
        return -w.get("scalar", 1.0) * x
    for name in ("fc_linear.0", "fc_final"):
        weight = w[name + ".weight"]
        x = x @ weight.T / math.sqrt(weight.shape[1]) + w[name + ".bias"]
        x = x.tanh() if name == "fc_linear.0" else x
    return x


# ---- cases ----


def compare(library, what, file, x, logits, tolerance):
    tensors, metadata = read_safetensors(file)
    architecture = json.loads(metadata["architecture"])
    unknown = {layer["kind"] for layer in architecture["layers"]} - KINDS
    if unknown:
        print(f"skipped: {what}: this library has no layers {', '.join(sorted(unknown))}")
        return
    try:
        outputs, again = library.evaluate(file, x)
    except Failure as failure:
        check(what, False, failure)
        return
    if architecture.get("outputs") != "logits":
        outputs = -tensors.get("scalar", torch.ones(1)).double() * outputs
    worst = (outputs - logits).abs().max().item()
    check(f"{what}: logits within {worst:.1e} of {logits.abs().max():.3g}", worst <= tolerance, f"> {tolerance:.1e}")
    check(f"{what}: the library saves the same bytes", again == read_bytes(file))


def test_net(library, what, state, shape, *flags):
    x = torch.randn(6, *shape)
    file = path("model.safetensors")
    flags = (*flags, "--input", ",".join(map(str, shape)))
    status, said = convert_state(state, file, *flags)
    check(f"{what} is converted", status == 0, said)
    if status != 0:
        return
    logits = evaluate(state, x)
    compare(library, what, file, x, logits, 1e-5 * logits.abs().max().item())
    prefixed = {"module." + key: value for key, value in state.items()}
    columnwise = {key: value.t().contiguous().t() if value.ndim == 2 else value for key, value in state.items()}
    for how, other in (("prefixes", prefixed), ("columns in memory", columnwise),
                       ("a checkpoint around it", {"state_dict": prefixed, "epoch": 3})):
        status, said = convert_state(other, path("other.safetensors"), *flags)
        same = status == 0 and read_bytes(path("other.safetensors")) == read_bytes(file)
        check(f"{what} with {how} gives the same bytes", same, said)


def test_nets(library):
    test_net(library, "mlp", make_dense(60, 2, ""), (3, 5, 4), "--data", "cifar10")
    test_net(library, "mlp with a scalar", make_dense(784, 3, "scalar"), (1, 28, 28), "--data", "mnist")
    test_net(library, "mlp of one layer", make_dense(12, 0, ""), (1, 3, 4), "--data", "fashion-mnist")
    test_net(library, "statistics of one's own", make_dense(12, 1, ""), (3, 2, 2), "--mean=-1e-5,0.5,1e20", "--std",
             "0.25", "--low", "-2", "--high", "3e-7")
    test_net(library, "hybrid", make_dense(60, 2, "linear"), (3, 5, 4), "--data", "tiny-imagenet")
    test_net(library, "conv", make_conv(1, 6 * 4 * 5, ""), (1, 8, 9), "--data", "mnist")
    test_net(library, "conv with a scalar", make_conv(3, 6 * 3 * 3, "scalar"), (3, 5, 6), "--data", "cifar10")
    test_net(library, "conv-hybrid", make_conv(3, 6 * 3 * 3, "linear"), (3, 5, 6), "--data", "cifar10")


def test_statistics():
    expected = {"mnist": ((1, 28, 28), [0.1307], 0.3081), "fashion-mnist": ((1, 28, 28), [0.286], 0.352),
                "cifar10": ((3, 32, 32), [0.4914, 0.4822, 0.4465], 0.2009),
                "tiny-imagenet": ((3, 56, 56), [0.4802, 0.4481, 0.3975], 0.2276)}
    for data, (shape, mean, std) in expected.items():
        status, said = convert_state(make_dense(math.prod(shape), 1, ""), path(data), "--data", data)
        check(f"the input shape of {data}", status == 0, said)
        found = json.loads(read_safetensors(path(data))[1]["statistics"]) if status == 0 else None
        check(f"the statistics of {data}", found == {"mean": mean, "std": std, "low": 0, "high": 1}, found)


def test_goldens(library):
    """Trained nets whose logits the authors' programs gave."""
    folders = [os.path.join(SOURCE, "tests", "golden")]
    if os.environ.get("LINFDIST_TEST_DATA"):
        folders.append(os.path.join(os.environ["LINFDIST_TEST_DATA"], "golden", "dev"))
    for name in ("train_mlp", "train_mlp_noid", "train_mlp_hinge", "train_hybrid", "train_conv"):
        found = [file for file in (os.path.join(folder, name + ".safetensors") for folder in folders)
                 if os.path.exists(file)]
        if not found:
            print(f"skipped: {name} lies in none of {', '.join(folders)}")
            continue
        tensors, metadata = read_safetensors(found[0])
        state = {key[6:]: value.clone() for key, value in tensors.items() if key.startswith("final.")}
        x = tensors["eval.x"]
        strides = ("--stride", "2,1") if name == "train_conv" else ()
        status, said = convert_state(state, path(name), "--data", "mnist", "--input",
                                     ",".join(map(str, x.shape[1:])), *strides)
        check(f"{name} is converted", status == 0, said)
        if status == 0:
            tolerance = float(metadata["tol.eval.logits"].split("atol=")[1])
            compare(library, name, path(name), x, tensors["eval.logits"], tolerance)


def refused(what, words, state, *flags):
    """Ends with 1 and these words, and leaves nothing behind."""
    status, said = convert_state(state, path("refused"), *(flags or ("--data", "mnist", "--input", "1,3,4")))
    message = said.strip().replace("convert_checkpoint.py: ", "")
    fits = status == 1 and words in said and not os.path.exists(path("refused"))
    check(f"refused: {what}: {message}", fits, f"({status}, not: {words})")


def changed(state, **values):
    """A copy with other values for keys, written with _ for the dots; None drops one."""
    copy = dict(state)
    for name, value in values.items():
        key = next((key for key in state if key.replace(".", "_") == name), name)
        copy.pop(key, None)
        if value is not None:
            copy[key] = value
    return copy


def test_refused_states():
    good = make_dense(12, 2, "scalar")
    weight = good["fc_dist.1.weight"]
    bad = weight.clone()
    for value in (math.nan, -math.inf, 2.0**101):
        bad[3, 7] = value
        refused(f"a weight of {value}", f"fc_dist.1.weight[3, 7] is {value}, must be finite and at most 2^100",
                changed(good, fc_dist_1_weight=bad))
    for value in (0.0, -0.5, math.nan):
        refused(f"a scalar of {value}", f"is {value}, must be", changed(good, scalar=torch.tensor([value])))
    refused("a scalar of two", "scalar has shape [2], must be [1]", changed(good, scalar=torch.ones(2)))
    refused("an extra key", "fc_dist.2.scale belongs to no layer", {**good, "fc_dist.2.scale": torch.ones(1)})
    refused("a bias too many", "fc_dist.0.bias belongs to no layer", {**good, "fc_dist.0.bias": torch.ones(24)})
    refused("one key without module.", "module.scalar belongs to no", {**good, "module.scalar": torch.ones(1)})
    refused("a missing mean", "fc_dist.0.mean_shift.running_mean is missing",
            changed(good, fc_dist_0_mean_shift_running_mean=None))
    refused("a missing bias", "fc_dist.2.bias is missing", changed(good, fc_dist_2_bias=None))
    refused("a missing layer", "fc_dist.1.weight is missing", changed(good, fc_dist_1_weight=None))
    refused("more than memory", "RuntimeError: ", changed(good, fc_dist_0_weight=torch.zeros(1).expand(2**50, 12)))
    refused("no keys", "fc_dist.0.weight is missing", {})
    for dtype in (torch.float16, torch.bfloat16, torch.float64, torch.int32):
        refused(str(dtype), f"fc_dist.1.weight is {dtype}, must be", changed(good, fc_dist_1_weight=weight.to(dtype)))
    refused("a sparse tensor", "must be dense", changed(good, fc_dist_1_weight=weight.to_sparse()))
    refused("a list", "fc_dist.1.weight is a list", changed(good, fc_dist_1_weight=[1, 2]))
    refused("rows that do not fit", "fc_dist.1.weight has shape [24, 23], must be [n, 24]",
            changed(good, fc_dist_1_weight=weight[:, :23].clone()))
    refused("three dimensions", "fc_dist.1.weight has shape [24, 24, 1]",
            changed(good, fc_dist_1_weight=weight[..., None]))
    refused("no rows", "fc_dist.1.weight has shape [0, 24]", changed(good, fc_dist_1_weight=weight[:0]))
    refused("a short mean", "fc_dist.1.mean_shift.running_mean has shape [23], must be [24]",
            changed(good, fc_dist_1_mean_shift_running_mean=torch.ones(23)))
    refused("another data set", "fc_dist.0.weight has shape [24, 12], must be [n, 784]", good, "--data", "mnist")
    refused("one class", "at least 2 classes", add_head({}, "", 12, 1))
    refused("a list as checkpoint", "holds a list", [1, 2])
    refused("a tensor as state_dict", "holds a Tensor", {"state_dict": weight})
    refused("numbers as keys", "a key that is no string", {1: weight})


def test_refused_heads():
    hybrid, conv = make_dense(12, 2, "linear"), make_conv(1, 6 * 2 * 2, "")
    refused("a hybrid with a scalar", "scalar belongs to no layer", {**hybrid, "scalar": torch.ones(1)})
    refused("a hybrid without its last layer", "fc_final.weight is missing",
            changed(hybrid, fc_final_weight=None, fc_final_bias=None))
    refused("a hybrid without distances", "fc_dist.0.weight is missing", add_head({}, "linear", 12))
    refused("two linear layers", "fc_linear.2.bias belongs", {**hybrid, "fc_linear.2.bias": torch.ones(7)})
    refused("another kernel", "has 10 columns, must be 1 channels of a square kernel",
            changed(conv, conv_dist_0_weight=torch.ones(3, 10)))
    refused("strides for others", "conv_dist has 4 layers, --stride 1,1,2,1,1 is for 5",
            changed(conv, conv_dist_4_weight=None, conv_dist_4_mean_shift_running_mean=None))
    refused("another input", "fc_dist.0.weight has shape [24, 24], must be [n, 48]", conv, "--data", "mnist", "--input",
            "1,4,8")
    refused("a kernel that does not fit", "3 x 3 does not fit on 1 x 2 with --padding 0", conv, "--data", "mnist",
            "--input", "1,3,4", "--padding", "0")


def test_refused_files():
    data = ("--data", "mnist", "--input", "1,3,4")
    state = make_dense(12, 1, "")
    torch.save(state, path("good.pth"))
    whole = read_bytes(path("good.pth"))
    statuses = set()
    for cut in range(0, len(whole), len(whole) // 20):
        with open(path("cut.pth"), "wb") as file:
            file.write(whole[:cut])
        statuses.add(convert(path("cut.pth"), path("refused"), *data)[0])
    check("refused: truncated checkpoints", statuses == {1} and not os.path.exists(path("refused")), statuses)
    status, said = convert(path("none.pth"), path("refused"), *data)
    check("refused: a checkpoint that is not there", status == 1 and "none.pth cannot be read" in said, said)
    torch.save({"state_dict": state, "optimizer": {"lr": 0.03}}, path("floats.pth"))
    try:
        torch.load(path("floats.pth"), weights_only=True)
        expected, words = 0, "mlp"
    except Exception:
        expected, words = 1, "needs a PyTorch later than 1.13"
    status, said = convert(path("floats.pth"), path("floats"), *data)
    check(f"floats beside the tensors: {said.strip()}", status == expected and words in said)
    torch.save({"state_dict": state, "run": subprocess.run}, path("code.pth"))
    status, said = convert(path("code.pth"), path("refused"), *data)
    check("refused: a checkpoint with code in it", status == 1 and "Unsupported class" in said, said)


def test_writing():
    data = ("--data", "mnist", "--input", "1,3,4")
    out = path("kept")
    torch.save(make_dense(12, 1, ""), path("good.pth"))
    with open(out, "w") as file:
        file.write("kept")

    def no_sync(_):
        raise OSError("no space left")

    sync, os.fsync = os.fsync, no_sync
    before = set(os.listdir(WORK))
    status, said = convert(path("good.pth"), out, *data)
    os.fsync = sync
    clean = read_bytes(out) == b"kept" and set(os.listdir(WORK)) == before
    check("a write that fails leaves the old file alone", status == 1 and "no space left" in said and clean, said)
    os.symlink("kept", path("link"))
    status, said = convert(path("good.pth"), path("link"), *data)
    written = status == 0 and os.path.islink(path("link")) and read_bytes(out)[8:20] == b'{"__metadata'
    check("a link stays, its file is replaced", written, said)
    for what, target in (("a folder", WORK), ("a folder that is not there", path("no/where"))):
        status, said = convert(path("good.pth"), target, *data)
        check(f"refused: {what}", status == 1 and target[:-6] in said, said)
    ended = subprocess.run([sys.executable, "-B", SCRIPT, path("none.pth"), out, *data], capture_output=True, text=True)
    clean = ended.stdout == "" and "Traceback" not in ended.stderr
    check("as a program it ends with 1", ended.returncode == 1 and clean, ended.stderr)


def usage(words, *flags):
    status, said = convert(path("good.pth"), path("refused"), *flags)
    check(f"usage: {' '.join(flags)}", status == 2 and words in said and not os.path.exists(path("refused")), said)


def test_usage():
    own = ("--mean", "0.5", "--input", "1,3,4")
    usage("expected --data, or --mean and --std")
    usage("expected --data, or --mean and --std", "--data", "mnist", "--mean", "0.1")
    usage("--mean and --std go together", "--data", "mnist", "--std", "0.1")
    usage("--mean and --std go together", *own)
    usage("invalid choice: 'svhn'", "--data", "svhn")
    usage("expected --input C,H,W", "--mean", "0.5", "--std", "0.2")
    usage("--input has 2 numbers", "--data", "mnist", "--input", "3,4")
    usage("'1,0,4': expected whole numbers above 0", "--data", "mnist", "--input", "1,0,4")
    usage("'0': expected a number above 0", *own, "--std", "0")
    usage("'nan': expected a number above 0", *own, "--std", "nan")
    usage("'0.1,0.2': expected a number", *own, "--std", "0.1,0.2")
    usage("'x': expected numbers", "--mean", "x", "--std", "1")
    usage("2 means for 1 channels", "--mean", "0.5,0.5", "--std", "1", "--input", "1,3,4")
    usage("expected low < high", *own, "--std", "1", "--low", "1")
    usage("is beyond 2^100", *own, "--std", "1e-35")
    usage("'-1': expected a whole number", "--data", "mnist", "--padding=-1")
    usage("'1,x': expected whole numbers", "--data", "mnist", "--stride", "1,x")


def main():
    torch.manual_seed(5)
    library = Library()
    test_nets(library)
    test_statistics()
    test_goldens(library)
    test_refused_states()
    test_refused_heads()
    test_refused_files()
    test_writing()
    test_usage()
    return failures != 0


if __name__ == "__main__":
    sys.exit(main())

#!/usr/bin/env python3
"""Turns a checkpoint of the authors' PyTorch programs into a model file of liblinfdist.

    python3 examples/convert_checkpoint.py model.pth mnist.safetensors --data mnist

Needs PyTorch, later than 1.13 when the checkpoint also holds the optimizer's numbers. CHECKPOINT is the dict that their
main.py saves, with the member "state_dict", or such a state_dict itself. The net is read off the names and shapes of
its tensors:

    mlp          fc_dist.0 ... fc_dist.D, the last with a bias; perhaps scalar
    hybrid       fc_dist.0 ... fc_dist.D, fc_linear.0, fc_final
    conv         conv_dist.0 ... conv_dist.C before an mlp
    conv-hybrid  conv_dist.0 ... conv_dist.C before a hybrid

A checkpoint holds no data statistics, no input shape and no strides: they come from the command line. Equal inputs give
equal bytes, which are those that the library itself saves. Exit status: 0, 1 for a checkpoint that is refused or a file
that cannot be written, 2 for errors of usage; OUTPUT is written whole or not at all.
"""
import argparse
import ctypes
import json
import math
import os
import re
import struct
import sys

LIBRARY_VERSION = "0.1.0"  # whose format this is
LIMIT = 2.0**100  # of the magnitude of every number, as the library has it
DATA_ALIGNMENT = 64
DATA = {  # input shape, means, std
    "mnist": ((1, 28, 28), (0.1307,), 0.3081),
    "fashion-mnist": ((1, 28, 28), (0.2860,), 0.3520),
    "cifar10": ((3, 32, 32), (0.4914, 0.4822, 0.4465), 0.2009),
    "tiny-imagenet": ((3, 56, 56), (0.4802, 0.4481, 0.3975), 0.2276),
}
PUBLISHED_STRIDES = (1, 1, 2, 1, 1)


class Refused(Exception):
    """The checkpoint is not one of these nets; the message names the key and the value."""


# ---- command line ----


def numbers(kind, check, expected):
    """The type of a flag whose value is a list of numbers."""

    def read(text):
        try:
            values = tuple(kind(word) for word in text.split(","))
        except ValueError:
            values = ()
        if not values or not all(check(value) for value in values):
            raise argparse.ArgumentTypeError(f"'{text}': expected {expected}")
        return values

    return read


def number(kind, check, expected):
    def read(text):
        if "," in text:
            raise argparse.ArgumentTypeError(f"'{text}': expected {expected}")
        return numbers(kind, check, expected)(text)[0]

    return read


def in_range(value):
    return abs(value) <= LIMIT  # no NaN either


def positive(value):
    return 0 < value <= LIMIT


def side(value):
    return 0 < value < 2**31


def read_arguments():
    parser = argparse.ArgumentParser(
        description="Turns a .pth checkpoint of l_inf-distance nets into a model file.", allow_abbrev=False)
    add = parser.add_argument
    real = number(float, in_range, "a number")
    add("checkpoint", metavar="CHECKPOINT", help="the .pth file")
    add("output", metavar="OUTPUT", help="the model file to write, .safetensors")
    add("--data", choices=DATA, help="statistics and input shape of this data set")
    add("--mean", metavar="A,B,...", type=numbers(float, in_range, "numbers, one or one per channel"),
        help="means per channel, instead of --data")
    add("--std", type=number(float, positive, "a number above 0"), help="one for all channels, with --mean")
    add("--low", type=real, default=0.0, help="smallest raw pixel (0)")
    add("--high", type=real, default=1.0, help="largest raw pixel (1)")
    add("--input", metavar="C,H,W", type=numbers(int, side, "whole numbers above 0"),
        help="input shape (that of --data)")
    add("--stride", metavar="A,B,...", type=numbers(int, side, "whole numbers above 0"), default=PUBLISHED_STRIDES,
        help="of each convolution (1,1,2,1,1)")
    add("--padding", type=number(int, lambda value: 0 <= value < 2**31, "a whole number"), default=1,
        help="of the convolutions (1)")
    arguments = parser.parse_args()
    complete_arguments(arguments, parser.error)
    return arguments


def complete_arguments(arguments, error):
    """Fills what --data stands for, and checks what flags say together."""
    if (arguments.data is None) == (arguments.mean is None):
        error("expected --data, or --mean and --std")
    if (arguments.std is None) != (arguments.mean is None):
        error("--mean and --std go together")
    if arguments.data:
        shape, arguments.mean, arguments.std = DATA[arguments.data]
        arguments.input = arguments.input or shape
    if arguments.input is None:
        error("expected --input C,H,W, since there is no --data")
    if len(arguments.input) != 3:
        error(f"--input has {len(arguments.input)} numbers, expected C,H,W")
    if len(arguments.mean) not in (1, arguments.input[0]):
        error(f"{len(arguments.mean)} means for {arguments.input[0]} channels")
    if not arguments.low < arguments.high:
        error(f"--low is {arguments.low}, --high {arguments.high}: expected low < high")
    for mean in arguments.mean:
        for end in (arguments.low, arguments.high):
            if not in_range((end - mean) / arguments.std):
                error(f"({end} - {mean}) / {arguments.std} is beyond 2^100")


# ---- the checkpoint ----


def load_checkpoint(path):
    """The state_dict as an ordinary dict, its keys without "module."."""
    try:
        import torch
    except ImportError as problem:
        raise Refused(f"PyTorch is needed to read a checkpoint: {problem}") from problem
    try:
        checkpoint = torch.load(path, map_location="cpu", weights_only=True)
    except Exception as problem:  # torch.load documents none of those it raises
        raise Refused(f"{path} cannot be read as a checkpoint: {explain(problem)}") from problem
    if isinstance(checkpoint, dict) and "state_dict" in checkpoint:
        checkpoint = checkpoint["state_dict"]
    if not isinstance(checkpoint, dict):
        raise Refused(f"{path} holds a {type(checkpoint).__name__}, expected a state_dict")
    if not all(isinstance(key, str) for key in checkpoint):
        raise Refused(f"{path} has a key that is no string")
    if checkpoint and all(key.startswith("module.") for key in checkpoint):
        return {key[len("module."):]: value for key, value in checkpoint.items()}
    return dict(checkpoint)


def explain(problem):
    """What PyTorch says, in one line and without its advice to trust the file."""
    text = str(problem).split("WeightsUnpickler error: ")[-1].strip()
    if text.endswith("operand 71"):
        return "it holds floats beside its tensors, such as an optimizer's: needs a PyTorch later than 1.13"
    return f"{type(problem).__name__}: {text}".splitlines()[0]


def check_numbers(key, tensor):
    wrong = ~(tensor.abs() <= LIMIT)  # NaN compares as false
    if wrong.any():
        index = wrong.nonzero()[0].tolist()
        raise Refused(f"{key}{index} is {tensor[tuple(index)].item()}, must be finite and at most 2^100")


def check_tensor(key, value):
    import torch

    if not isinstance(value, torch.Tensor):
        raise Refused(f"{key} is a {type(value).__name__}, must be a tensor")
    if value.dtype != torch.float32:
        raise Refused(f"{key} is {value.dtype}, must be torch.float32 (nothing is rounded here)")
    if value.layout != torch.strided or value.device.type != "cpu":
        raise Refused(f"{key} is {value.layout} on {value.device}, must be dense")


# ---- the net ----


class Net:
    """Takes the tensors out of a state_dict layer by layer and keeps what the model file needs."""

    def __init__(self, state, shape):
        self.state = state
        self.shape = shape  # channels, height, width of what the next layer gets
        self.layers = []
        self.tensors = []  # name, shape in the file, tensor

    def features(self):
        return math.prod(self.shape)

    def take(self, key, shape):
        """Keeps the tensor of this name and returns its shape. A length of None in shape may be any."""
        if key not in self.state:
            raise Refused(f"{key} is missing")
        value = self.state.pop(key)
        check_tensor(key, value)
        found = list(value.shape)
        fits = len(found) == len(shape) and all(
            length > 0 if wanted is None else length == wanted for length, wanted in zip(found, shape))
        if not fits:
            wanted = ", ".join("n" if length is None else str(length) for length in shape)
            raise Refused(f"{key} has shape {found}, must be [{wanted}]")
        check_numbers(key, value)
        self.tensors.append((key, found, value))
        return found

    def add(self, kind, name, shape, **fields):
        n_in = self.features()
        self.shape = shape
        layer = {"kind": kind, "name": name, "n_in": n_in, "n_out": self.features(), "groups": 1}
        self.layers.append({**layer, **fields})

    def distance(self, name):
        rows, _ = self.take(name + ".weight", (None, self.features()))
        self.add("distance", name, (rows, 1, 1))

    def distance_conv(self, name, stride, padding):
        channels, height, width = self.shape
        key = name + ".weight"
        rows, columns = self.take(key, (None, None))
        kernel = math.isqrt(columns // channels)
        if columns != channels * kernel * kernel:
            raise Refused(f"{key} has {columns} columns, must be {channels} channels of a square kernel")
        out = [(length + 2 * padding - kernel) // stride + 1 for length in (height, width)]
        if min(out) < 1:
            raise Refused(f"{key}: {kernel} x {kernel} does not fit on {height} x {width} with --padding {padding}")
        self.tensors[-1] = (key, [rows, channels, kernel, kernel], self.tensors[-1][2])
        self.add("distance_conv", name, (rows, *out), kernel_h=kernel, kernel_w=kernel, stride=stride, padding=padding,
                 dilation=1, out_channels=rows)

    def mean_shift(self, name):
        self.take(name + ".mean_shift.running_mean", (self.shape[0],))
        self.add("mean_shift", name, self.shape)

    def bias(self, name):
        self.take(name + ".bias", (self.shape[0],))
        self.add("bias", name, self.shape)

    def linear(self, name):
        rows, _ = self.take(name + ".weight", (None, self.features()))
        self.take(name + ".bias", (rows,))
        self.add("linear", name, (rows, 1, 1))

    def tanh(self, name):
        self.add("tanh", name, self.shape)


def count_blocks(state, prefix):
    """One more than the largest number behind the prefix, so that a gap shows as a missing key."""
    found = (re.match(prefix + r"\.(\d{1,4})\.", key) for key in state)
    return max((int(match.group(1)) + 1 for match in found if match), default=0)


def add_convolutions(net, strides, padding):
    count = count_blocks(net.state, "conv_dist")
    if count and len(strides) != count:
        raise Refused(f"conv_dist has {count} layers, --stride {','.join(map(str, strides))} is for {len(strides)}")
    for i in range(count):
        net.distance_conv(f"conv_dist.{i}", strides[i], padding)
        net.mean_shift(f"conv_dist.{i}")
    return count


def read_net(state, arguments):
    """Returns what model files call the architecture, the tensors in order, and the net in words."""
    net = Net(state, arguments.input)
    hybrid = any(key.startswith(("fc_final.", "fc_linear.")) for key in state)
    convolutions = add_convolutions(net, arguments.stride, arguments.padding)
    shifted = max(count_blocks(state, "fc_dist"), 1) - (0 if hybrid else 1)
    for i in range(shifted):
        net.distance(f"fc_dist.{i}")
        net.mean_shift(f"fc_dist.{i}")
    if hybrid:
        net.linear("fc_linear.0")
        net.tanh("fc_linear.0")
        net.linear("fc_final")
    else:
        net.distance(f"fc_dist.{shifted}")
        net.bias(f"fc_dist.{shifted}")
    scalar = not hybrid and "scalar" in state  # without it the scalar is 1
    if scalar:
        net.take("scalar", (1,))
        value = net.tensors[-1][2].item()
        if value <= 0:
            raise Refused(f"scalar is {value}, must be > 0")
    if state:
        raise Refused(f"{next(iter(state))} belongs to no layer of this net")
    classes = net.shape[0]
    if classes < 2:
        raise Refused(f"{net.layers[-1]['name']} has 1 output, must be at least 2 classes")
    channels, height, width = arguments.input
    architecture = {"channels": channels, "height": height, "width_px": width, "classes": classes,
                    "learned_scalar": scalar, "layers": net.layers}
    if hybrid:
        architecture["outputs"] = "logits"
    kind = ("conv-hybrid" if hybrid else "conv") if convolutions else ("hybrid" if hybrid else "mlp")
    words = (f"{kind}, input {channels} x {height} x {width}, {classes} classes, "
             f"{len(net.tensors)} tensors")
    return architecture, net.tensors, words


# ---- the model file ----


def compact(value):
    return json.dumps(value, separators=(",", ":"))


def digits(value):
    """A number as the library writes it: 17 digits, always with a point or an exponent."""
    text = re.sub(r"e(-?)\+?0*", r"e\1", f"{value:.17g}")
    return text if "." in text or "e" in text else text + ".0"


def make_header(architecture, tensors, arguments):
    statistics = '{"mean":[%s],"std":%s,"low":%s,"high":%s}' % (
        ",".join(map(digits, arguments.mean)), digits(arguments.std), digits(arguments.low), digits(arguments.high))
    header = {"__metadata__": {"format": "linfdist-model", "format_version": "1", "library_version": LIBRARY_VERSION,
                               "architecture": compact(architecture), "statistics": statistics}}
    offset = 0
    for name, shape, _ in tensors:
        end = offset + 4 * math.prod(shape)
        header[name] = {"dtype": "F32", "shape": shape, "data_offsets": [offset, end]}
        offset = end
    text = compact(header).encode("ascii")
    text += b" " * (-(8 + len(text)) % DATA_ALIGNMENT)
    return struct.pack("<Q", len(text)) + text


def write_file(path, header, tensors):
    """Beside its final name, synced and renamed: path holds the old file or the new one, whole."""
    path = os.path.realpath(path)
    if os.path.exists(path) and not os.path.isfile(path):
        raise OSError(f"{path} is no regular file")
    temporary = os.path.join(os.path.dirname(path), f".convert-{os.getpid()}.tmp")
    file = open(temporary, "xb")
    try:
        with file:
            file.write(header)
            for _, _, tensor in tensors:
                whole = tensor.contiguous()
                file.write(ctypes.string_at(whole.data_ptr(), 4 * whole.numel()))
            file.flush()
            os.fsync(file.fileno())
        os.replace(temporary, path)
    except BaseException:
        os.unlink(temporary)
        raise


def main():
    arguments = read_arguments()
    try:
        if sys.byteorder != "little":
            raise Refused("model files need a little-endian machine")
        architecture, tensors, words = read_net(load_checkpoint(arguments.checkpoint), arguments)
        write_file(arguments.output, make_header(architecture, tensors, arguments), tensors)
        print(f"{arguments.output}: {words}")
        return 0
    except (Refused, OSError) as problem:
        message = problem
    except (MemoryError, RuntimeError) as problem:  # a tensor larger than memory
        message = explain(problem)
    print(f"convert_checkpoint.py: {message}", file=sys.stderr)
    return 1


if __name__ == "__main__":
    sys.exit(main())

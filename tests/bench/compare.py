#!/usr/bin/env python3
"""What people use today, and this library, on one thread of the same machine in the same run.

usage: compare.py LIBRARY [--shape BxOxK] [--repeat N]        LIBRARY: build/liblinfdist.so

Needs NumPy. Each of these is compared with where it is there (Debian: python3-torch, python3-scipy, libfaiss-dev with
libblas-dev, liblapack-dev and g++). The contenders take turns call by call, by processor time; the table, in
Markdown, has medians. Inputs and weights are uniform in [0, 1): torch.cdist does not normalise and would overflow at
p = 100 elsewhere.
"""

import os

for name in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"):
    os.environ[name] = "1"

import argparse
import ctypes
import statistics
import subprocess
import sys
import tempfile
import time

import numpy

INFINITY = float("inf")
FLOATS = ctypes.POINTER(ctypes.c_float)
INTS = ctypes.POINTER(ctypes.c_int32)
FAISS_SOURCE = """
#include <faiss/Index.h>
#include <faiss/utils/extra_distances.h>
extern "C" int version() { return FAISS_VERSION_MAJOR * 10000 + FAISS_VERSION_MINOR * 100 + FAISS_VERSION_PATCH; }
extern "C" void linf(const float *x, const float *w, float *y, long batch, long n_out, long n_in) {
    faiss::pairwise_extra_distances(n_in, batch, x, n_out, w, faiss::METRIC_Linf, 0.0f, y);
}
"""


class Shape(ctypes.Structure):
    """linfdist_distance_shape"""

    _fields_ = [("struct_size", ctypes.c_size_t)] + [
        (field, ctypes.c_int64)
        for field in ("batch", "n_in", "n_out", "groups", "x_stride", "w_stride", "y_stride")
    ]


def pointer(array, kind=FLOATS):
    return None if array is None else array.ctypes.data_as(kind)


class Linfdist:
    """This library through its C interface."""

    name = "liblinfdist"

    def __init__(self, path, x, w):
        self.c = ctypes.CDLL(path)
        self.c.linfdist_last_error.restype = ctypes.c_char_p
        self.c.linfdist_context_isa.restype = ctypes.c_char_p
        self.context = ctypes.c_void_p()
        self.x, self.w = x, w
        self.y = numpy.zeros((x.shape[0], w.shape[0]), numpy.float32)
        self.argmax = numpy.zeros(self.y.shape, numpy.int32)
        self.grads = numpy.zeros_like(x), numpy.zeros_like(w)
        self.shape = Shape()
        self.require(self.c.linfdist_context_create(None, ctypes.byref(self.context)))
        sizes = [ctypes.c_int64(n) for n in (x.shape[0], x.shape[1], w.shape[0])]
        size = ctypes.c_size_t(ctypes.sizeof(Shape))
        self.require(self.c.linfdist_distance_shape_init(ctypes.byref(self.shape), size, *sizes))

    def require(self, status):
        if status != 0:
            sys.exit("compare.py: " + self.c.linfdist_last_error().decode())

    def isa(self):
        return self.c.linfdist_context_isa(self.context).decode()

    def forward(self, p, argmax=None):
        self.require(self.c.linfdist_distance_forward(self.context, ctypes.byref(self.shape), ctypes.c_float(p),
                                                      pointer(self.x), pointer(self.w), pointer(self.y),
                                                      pointer(argmax, INTS)))
        return self.y

    def prepare_backward(self, p, grad_y):
        self.grad_y = grad_y
        self.forward(p, self.argmax if p == INFINITY else None)

    def backward(self, p):
        for grad in self.grads:
            grad.fill(0.0)
        self.require(self.c.linfdist_distance_backward(self.context, ctypes.byref(self.shape), ctypes.c_float(p),
                                                       pointer(self.x), pointer(self.w), pointer(self.y),
                                                       pointer(self.argmax if p == INFINITY else None, INTS),
                                                       pointer(self.grad_y), *map(pointer, self.grads)))
        return self.grads


class Torch:
    name = "torch.cdist"

    def __init__(self, x, w):
        import torch

        torch.set_num_threads(1)
        self.torch = torch
        self.version = torch.__version__
        self.x, self.w = torch.from_numpy(x), torch.from_numpy(w)

    def forward(self, p):
        with self.torch.no_grad():
            return self.torch.cdist(self.x, self.w, p=p).numpy()

    def prepare_backward(self, p, grad_y):
        self.leaves = self.x.clone().requires_grad_(), self.w.clone().requires_grad_()
        self.y = self.torch.cdist(*self.leaves, p=p)
        self.grad_y = self.torch.from_numpy(grad_y)

    def backward(self, p):
        grads = self.torch.autograd.grad(self.y, self.leaves, self.grad_y, retain_graph=True)
        return tuple(grad.numpy() for grad in grads)


class Scipy:
    name = "scipy cdist chebyshev"

    def __init__(self, x, w):
        import scipy
        from scipy.spatial.distance import cdist

        self.version = scipy.__version__
        self.cdist = cdist
        # It computes in double; converting is not its work.
        self.x, self.w = x.astype(numpy.float64), w.astype(numpy.float64)

    def forward(self, p):
        return self.cdist(self.x, self.w, "chebyshev")


class Faiss:
    name = "faiss METRIC_Linf"

    def __init__(self, x, w):
        self.x, self.w = x, w
        self.y = numpy.zeros((x.shape[0], w.shape[0]), numpy.float32)
        with tempfile.TemporaryDirectory() as folder:
            source, library = os.path.join(folder, "linf.cpp"), os.path.join(folder, "linf.so")
            with open(source, "w", encoding="ascii") as out:
                out.write(FAISS_SOURCE)
            subprocess.run(["c++", "-O2", "-shared", "-fPIC", "-fopenmp", source, "-o", library, "-lfaiss", "-llapack",
                            "-lblas"], check=True, capture_output=True, text=True)
            self.c = ctypes.CDLL(library)
        version = self.c.version()
        self.version = f"{version // 10000}.{version // 100 % 100}.{version % 100}"

    def forward(self, p):
        sizes = [ctypes.c_long(n) for n in (self.x.shape[0], self.w.shape[0], self.x.shape[1])]
        self.c.linf(pointer(self.x), pointer(self.w), pointer(self.y), *sizes)
        return self.y


def contender(kind, *args):
    """It, or None with the reason on stderr."""
    try:
        return kind(*args)
    except ImportError as problem:
        print(f"compare.py: without {kind.name}: {problem}", file=sys.stderr)
    except FileNotFoundError:
        print(f"compare.py: without {kind.name}: there is no c++", file=sys.stderr)
    except subprocess.CalledProcessError as problem:
        print(f"compare.py: without {kind.name}: {problem.stderr.strip().splitlines()[-1]}", file=sys.stderr)
    return None


def timed(call, p):
    start = time.process_time()
    result = call(p)
    return time.process_time() - start, result


def check(name, ours, theirs, ties):
    """Both computed the same, as far as float carries; ties: the share of numbers that may differ."""
    ours, theirs = (r if isinstance(r, tuple) else (r,) for r in (ours, theirs))
    for one, other in zip(ours, theirs):
        differ = float(numpy.mean(~(numpy.abs(one - other) < 1e-4 * numpy.abs(other).max())))
        if differ > ties:
            sys.exit(f"compare.py: {name} computes something else in {differ:.2g} of the numbers")


def compare(what, p, us, others, repeats, elements):
    """Rows of the table for one operation, our own first."""
    calls = [getattr(each, what) for each in [us] + others]
    results = [timed(call, p)[1] for call in calls]  # warm
    for other, result in zip(others, results[1:]):
        # Where two inputs attain the maximum, torch.cdist gives each the gradient, the library the first alone.
        ties = 1e-3 if what == "backward" and p == INFINITY else 0.0
        check(f"{other.name}, p = {p:g}, {what}", results[0], result, ties)
    seconds = [[timed(call, p)[0] for call in calls] for _ in range(repeats)]
    for i, each in enumerate([us] + others):
        speed = elements / statistics.median(row[i] for row in seconds) * 1e-9
        ratio = statistics.median(row[i] / row[0] for row in seconds)
        faster = "" if each is us else format(ratio, ".3g")
        print(f"| {what} | {p:g} | {each.name} | {speed:.3g} | {faster} |", flush=True)


def parse():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("library")
    parser.add_argument("--shape", default="128x1024x1024")
    parser.add_argument("--repeat", type=int, default=7)
    args = parser.parse_args()
    try:
        args.sizes = tuple(int(size) for size in args.shape.split("x"))
        if len(args.sizes) != 3 or min(args.sizes) < 1 or args.repeat < 1:
            raise ValueError
    except ValueError:
        parser.error("--shape: expected three sizes such as 128x1024x1024; --repeat: at least 1")
    return args


def main():
    args = parse()
    batch, n_out, n_in = args.sizes
    random = numpy.random.default_rng(2021)
    x = random.random((batch, n_in), numpy.float32)
    w = random.random((n_out, n_in), numpy.float32)
    grad_y = random.standard_normal((batch, n_out), numpy.float32)
    us = Linfdist(args.library, x, w)
    torch, scipy, faiss = (contender(kind, x, w) for kind in (Torch, Scipy, Faiss))
    there = [each for each in (torch, scipy, faiss) if each]
    print(f"{batch} x {n_out} x {n_in}, one thread, {us.isa()}, medians of {args.repeat}; with",
          ", ".join(f"{each.name} ({each.version})" for each in there) + "\n")
    print("| pass | p | library | Gelem/s | liblinfdist is faster by |\n| --- | --- | --- | --- | --- |")
    elements = batch * n_out * n_in
    compare("forward", INFINITY, us, there, args.repeat, elements)
    for p in (8.0, 100.0):
        compare("forward", p, us, [torch] if torch else [], args.repeat, elements)
    for p in (INFINITY, 8.0, 100.0):
        backward = [us] + ([torch] if torch else [])
        for each in backward:
            each.prepare_backward(p, grad_y)
        compare("backward", p, us, backward[1:], args.repeat, elements)


main()

#!/usr/bin/env python3
"""Turns the published nets into the ones the box loads, and proves that they still say the same.

    models/prepare.py NAME PUBLISHED PREPARED    one model of manifest.toml; `models/fetch` calls this
    models/prepare.py --measure                  published against prepared: speed and greatest difference

Needs the pinned packages of requirements.txt (`models/fetch` keeps them in models/cache/venv). The bytes written depend
on nothing but the published file and those pins. It never downloads and never touches the manifest.
"""

import os
import sys
import time
from pathlib import Path

import numpy as np
import onnx
import onnxruntime
from onnx import helper, numpy_helper

from archives import load_toml

HERE = Path(__file__).resolve().parent

# Weights under this can't be seen in the output: a float32 sum of terms near 1 has steps of 6e-8. Many are denormal,
# which some processors multiply a hundred times more slowly.
TINY = 1e-20
# ONNX Runtime's CPU kernels work on channels in blocks of 16 (AVX-512) or 8 (AVX2); a net with odd counts falls back to
# slower ones, so what is cut or padded ends on a multiple of this.
BLOCK = 16
# Greatest difference allowed between published and prepared outputs (embeddings are compared at length 1). Both runs are
# float32, and ONNX Runtime sums in another order on each kind of processor: the logits of minifasnet, up to 6 in size, differ
# by 5e-5 on one with AVX2 only and by less where there is AVX-512. A step that leaves a term out shows in the first decimal.
TOLERANCE = 2e-4
COSINE = 0.999999


class Net:
    """A graph with its initializers as arrays, and who makes and reads each value."""

    def __init__(self, model):
        self.model, self.graph = model, model.graph
        self.weights = {i.name: numpy_helper.to_array(i).copy() for i in model.graph.initializer}

    def readers(self, value):
        return [n for n in self.graph.node if value in n.input]

    def maker(self, value):
        return next((n for n in self.graph.node if value in n.output), None)

    def remove(self, node):
        """Takes a node with one input out of the chain: its readers, or the graph's output, get what it was fed."""
        fed, made = node.input[0], node.output[0]
        self.graph.node.remove(node)
        if any(o.name == made for o in self.graph.output):
            self.maker(fed).output[0] = made
        for reader in self.readers(made):
            reader.input[:] = [fed if i == made else i for i in reader.input]

    def bytes(self):
        used = {i for n in self.graph.node for i in n.input}
        del self.graph.initializer[:]
        del self.graph.value_info[:]
        self.graph.initializer.extend(
            numpy_helper.from_array(np.ascontiguousarray(a), name) for name, a in self.weights.items() if name in used
        )
        onnx.checker.check_model(self.model)
        return self.model.SerializeToString(deterministic=True)


def attribute(node, name, default=None):
    return next((helper.get_attribute_value(a) for a in node.attribute if a.name == name), default)


def replace_attribute(node, name, value):
    kept = [a for a in node.attribute if a.name != name]
    del node.attribute[:]
    node.attribute.extend(kept + [helper.make_attribute(name, value)])


def product(a, b):
    """a @ b in float64, summed in order: BLAS sums otherwise on other processors, and the bytes are pinned."""
    a, b = a.astype(np.float64), b.astype(np.float64)
    total = np.zeros((*a.shape[:-1], *b.shape[1:]))
    for k in range(len(b)):
        total += np.multiply.outer(a[..., k], b[k])
    return total


# --- steps, named as in the manifest -----------------------------------------------------------------------------------


def zero_tiny_weights(net, _):
    """Weights below TINY become zero. The output stays the same to the last bit (checked)."""
    for weights in net.weights.values():
        if weights.dtype == np.float32:
            weights[np.abs(weights) < TINY] = 0


def bottlenecks(net):
    """Chains convolution, PReLU, depthwise convolution, PReLU, 1x1 convolution, in which nobody else reads the middle."""
    for first in net.graph.node:
        chain = [first]
        for wanted in ("PRelu", "Conv", "PRelu", "Conv"):
            readers = net.readers(chain[-1].output[0])
            if len(readers) != 1 or readers[0].op_type != wanted:
                break
            chain.append(readers[0])
        if len(chain) != 5 or first.op_type != "Conv":
            continue
        expand, _, depthwise, _, project = chain
        width = len(net.weights[depthwise.input[1]])
        if (attribute(expand, "group"), attribute(depthwise, "group"), attribute(project, "group")) == (1, width, 1):
            yield chain


def resize(net, chain, change):
    """Applies `change` (along axis 0) to everything that has one entry for each middle channel."""
    expand, prelu_1, depthwise, prelu_2, project = chain
    for name in (*expand.input[1:3], prelu_1.input[1], *depthwise.input[1:3], prelu_2.input[1]):
        net.weights[name] = change(net.weights[name])
    net.weights[project.input[1]] = np.swapaxes(change(np.swapaxes(net.weights[project.input[1]], 0, 1)), 0, 1)
    replace_attribute(depthwise, "group", len(net.weights[depthwise.input[1]]))


def cut_dead_channels(net, _):
    """Middle channels that nobody reads go, and those that always say the same move into the next bias.

    A depthwise channel says the same everywhere if its weights are zero, or if zeros are all it is fed (its own zero
    padding included). Dead channels stay where they fill up a block of BLOCK.
    """
    for chain in bottlenecks(net):
        expand, prelu_1, depthwise, prelu_2, project = chain
        arrays = [net.weights[n.input[k]] for n in (expand, depthwise, project) for k in (1, 2)]
        expand_w, expand_b, depth_w, depth_b, project_w, project_b = arrays

        def prelu(x, node):
            return np.where(x < 0, x * net.weights[node.input[1]].reshape(-1), x)

        says = prelu(depth_b, prelu_2)
        fed_zeros = ~expand_w.any(axis=(1, 2, 3)) & (prelu(expand_b, prelu_1) == 0)
        constant = fed_zeros | ~depth_w.any(axis=(1, 2, 3))
        dead = constant | ~project_w.any(axis=(0, 2, 3))
        keep = ~dead
        spare = -int(keep.sum()) % BLOCK
        keep[np.flatnonzero(dead)[:spare]] = True
        gone = constant & ~keep
        moved = product(project_w[:, gone, 0, 0], says[gone])
        net.weights[project.input[2]] = (project_b + moved).astype(np.float32)
        resize(net, chain, lambda a: a[keep])


def pad_channels(net, _):
    """Middle channels are filled up with zeros to a multiple of BLOCK."""
    for chain in bottlenecks(net):
        missing = -len(net.weights[chain[0].input[1]]) % BLOCK
        resize(net, chain, lambda a: np.concatenate([a, np.zeros((missing, *a.shape[1:]), a.dtype)]))


def merge_head(net, _):
    """Reshape by computed shape, MatMul, BatchNormalization, MatMul (all linear) become Flatten and one Gemm."""
    last = net.maker(net.graph.output[0].name)
    norm = net.maker(last.input[0])
    first = net.maker(norm.input[0])
    reshape = net.maker(first.input[0])
    gamma, beta, mean, variance = (net.weights[i].astype(np.float64) for i in norm.input[1:5])
    slope = gamma / np.sqrt(variance + attribute(norm, "epsilon"))
    after = net.weights[last.input[1]]
    net.weights["head.weight"] = product(net.weights[first.input[1]] * slope, after).astype(np.float32)
    net.weights["head.bias"] = product(beta - mean * slope, after).astype(np.float32)
    features, output = reshape.input[0], last.output[0]
    shape, unused = [reshape.input[1]], [last, norm, first, reshape]
    while shape:
        node = net.maker(shape.pop())
        if node is not None and node.op_type in ("Shape", "Constant", "Gather", "Unsqueeze", "Concat"):
            unused.append(node)
            shape += [i for i in node.input if i != features]
    for node in unused:
        net.graph.node.remove(node)
    net.graph.node.append(helper.make_node("Flatten", [features], ["head.features"], axis=1))
    net.graph.node.append(helper.make_node("Gemm", ["head.features", "head.weight", "head.bias"], [output]))


def untranspose(net, _):
    """N,W,H,C in becomes N,C,H,W in, and N,w,h,C out becomes N,C,h,w out: kernels turn instead of pictures."""
    for node in list(net.graph.node):
        if node.op_type == "Conv":
            net.weights[node.input[1]] = np.swapaxes(net.weights[node.input[1]], 2, 3)
        elif node.op_type == "Flatten":
            turn = net.maker(node.input[0])
            dense = net.readers(node.output[0])[0].input[1]
            channels = len(net.weights[net.maker(turn.input[0]).input[1]].reshape(-1))
            rows, outputs = net.weights[dense].shape
            side = round((rows / channels) ** 0.5)
            by_xyc = net.weights[dense].reshape(side, side, channels, outputs)
            net.weights[dense] = by_xyc.transpose(2, 1, 0, 3).reshape(rows, outputs)
    for node in [n for n in net.graph.node if n.op_type == "Transpose"]:
        net.remove(node)
    for value, spatial in [*((i, ("H", "W")) for i in net.graph.input), *((o, ("h", "w")) for o in net.graph.output)]:
        dims = value.type.tensor_type.shape.dim
        if len(dims) == 4:
            fixed = [d.dim_value for d in dims[1:3]][::-1]
            shape = ["N", dims[3].dim_value, *(f or s for f, s in zip(fixed, spatial))]
            value.CopyFrom(helper.make_tensor_value_info(value.name, onnx.TensorProto.FLOAT, shape))


def fold_softmax(net, _):
    """Softmax over two values becomes the sigmoid of their difference: one value, and no axis to get wrong."""
    softmax = next(n for n in net.graph.node if n.op_type == "Softmax")
    before = net.maker(softmax.input[0])  # a convolution (P-Net), or the bias of a dense layer
    if before.op_type == "Conv":
        for name in before.input[1:3]:
            net.weights[name] = net.weights[name][1:2] - net.weights[name][0:1]
    else:
        for name in (before.input[1], net.maker(before.input[0]).input[1]):
            net.weights[name] = net.weights[name][..., 1:2] - net.weights[name][..., 0:1]
    output = next(o for o in net.graph.output if o.name == softmax.output[0])
    output.type.tensor_type.shape.dim[1].dim_value = 1
    sigmoid = helper.make_node("Sigmoid", list(softmax.input), list(softmax.output))
    net.graph.node.insert(list(net.graph.node).index(softmax), sigmoid)
    net.graph.node.remove(softmax)


def grey_to_colour(net, spec):
    """A net that eats grey gets three channels: the weights of ITU-R BT.601 go into the first convolution, which is linear."""
    first = net.readers(net.graph.input[0].name)[0]
    grey = net.weights[first.input[1]].astype(np.float64)
    net.weights[first.input[1]] = (grey * luma_weights(spec).reshape(1, 3, 1, 1)).astype(np.float32)
    net.graph.input[0].type.tensor_type.shape.dim[1].dim_value = 3


def luma_weights(spec):
    """What each channel adds to grey, in the order of the model's input."""
    weights = np.array([0.299, 0.587, 0.114])
    return weights if spec["input"]["colour"] == "RGB" else weights[::-1]


def rename(net, spec):
    """Inputs and outputs take the manifest's names (its outputs stand in the published order)."""
    new = {net.graph.input[0].name: spec["input"]["name"]}
    new |= {o.name: name for o, name in zip(net.graph.output, spec["output"].values(), strict=True)}
    for value in (*net.graph.input, *net.graph.output):
        value.name = new[value.name]
    for node in net.graph.node:
        node.input[:] = [new.get(i, i) for i in node.input]
        node.output[:] = [new.get(o, o) for o in node.output]


STEPS = {
    "zero-tiny-weights": zero_tiny_weights,
    "cut-dead-channels": cut_dead_channels,
    "pad-channels": pad_channels,
    "merge-head": merge_head,
    "untranspose": untranspose,
    "fold-softmax": fold_softmax,
    "grey-to-colour": grey_to_colour,
    "rename": rename,
}

# --- proof --------------------------------------------------------------------------------------------------------------


def session(source, providers=("CPUExecutionProvider",)):
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1
    options.log_severity_level = 3
    return onnxruntime.InferenceSession(source, options, providers=list(providers))


def pictures(spec, rng):
    """Noise, flat colours, waves and steps in the range of the model's input, N,C,H,W."""
    height, width = spec["input"]["height"], spec["input"]["width"]
    if spec["input"].get("any_size"):
        height, width = height * 5, width * 7 + 1  # not square, so that swapped axes cannot hide
    rows, columns = np.mgrid[0:height, 0:width]
    made = [rng.integers(0, 256, (3, height, width)) for _ in range(12)]
    made += [np.full((3, height, width), v) for v in (0, 127, 255)]
    for period in (2, 5, 17, 60):
        waves = [np.sin(columns / period), np.cos(rows / period), np.sin((2 * rows + columns) / period)]
        made.append(127.5 + 127.5 * np.stack(waves))
    made.append(np.where((columns > width // 3) & (rows > height // 2), 230, 20) * np.ones((3, 1, 1)))
    for picture in made:
        yield ((picture[None] - spec["input"]["subtract"]) * spec["input"]["scale"]).astype(np.float32)


def feed(spec, picture):
    """The same picture as the published net eats it."""
    if "untranspose" in spec["preparation"]:
        return picture.transpose(0, 3, 2, 1)
    if "grey-to-colour" in spec["preparation"]:
        return (picture * luma_weights(spec).reshape(1, 3, 1, 1)).sum(axis=1, keepdims=True).astype(np.float32)
    return picture


def differences(spec, published, prepared):
    """Greatest absolute difference, and the smallest cosine where there is an embedding; over all pictures."""
    turned = "untranspose" in spec["preparation"]
    worst, cosine = 0.0, 1.0
    for picture in pictures(spec, np.random.default_rng(20)):
        fed = feed(spec, picture)
        before = published.run(None, {published.get_inputs()[0].name: fed})
        after = prepared.run(None, {prepared.get_inputs()[0].name: picture})
        for part, old, new in zip(spec["output"], before, after, strict=True):
            if turned and old.ndim == 4:
                old = old.transpose(0, 3, 2, 1)
            if part == "probability" and "fold-softmax" in spec["preparation"]:
                old = old[:, 1:2]
            if part == "embedding":
                old, new = (x / np.linalg.norm(x.astype(np.float64)) for x in (old, new))
                cosine = min(cosine, float((old * new).sum()))
            if old.shape != new.shape:
                raise SystemExit(f"{part}: shape {new.shape} after preparation, {old.shape} before")
            worst = max(worst, float(np.abs(old - new).max()))
    return worst, cosine


def prepare(name, spec, published):
    """The prepared net's bytes; stops if it says anything else than the published one."""
    net = Net(onnx.load_from_string(published))
    before = session(published)
    for step in spec["preparation"]:
        STEPS[step](net, spec)
        if step == "zero-tiny-weights":
            alike, _ = differences(spec | {"preparation": []}, before, session(net.bytes()))
            if alike != 0:
                raise SystemExit(f"{name}: zeroing weights under {TINY} changed the output by {alike:.1e}; it must not")
    prepared = net.bytes()
    worst, cosine = differences(spec, before, session(prepared))
    if worst > TOLERANCE or cosine < COSINE:
        raise SystemExit(f"{name}: output differs by {worst:.1e} (allowed {TOLERANCE:.0e}), cosine {cosine:.8f}")
    likeness = f", smallest cosine {cosine:.8f}" if "embedding" in spec["output"] else ""
    print(f"{name}: {', '.join(spec['preparation'])}: greatest difference {worst:.1e}{likeness}")
    return prepared


def measure(manifest):
    """One thread, batch 1, published and prepared in turns; processor time, so that a busy machine blurs it less."""
    providers = {"CPU": ["CPUExecutionProvider"]}
    if "OpenVINOExecutionProvider" in onnxruntime.get_available_providers():
        providers["OpenVINO"] = [("OpenVINOExecutionProvider", {"device_type": "CPU", "num_of_threads": "1"})]
    print(f"onnxruntime {onnxruntime.__version__}, one thread, milliseconds of processor time: median (least) of 200 runs")
    for name, spec in manifest["model"].items():
        if "source" not in spec:
            continue
        files = [HERE / "cache/published" / f"{name}.onnx", HERE / "ready" / spec["file"]]
        picture = next(pictures(spec, np.random.default_rng(1)))
        for label, provider in providers.items():
            nets = [session(str(f), provider) for f in files]
            fed = [feed(spec, picture), picture]
            times = [[], []]
            for _ in range(200):
                for net, eaten, taken in zip(nets, fed, times):
                    start = time.process_time_ns()
                    net.run(None, {net.get_inputs()[0].name: eaten})
                    taken.append((time.process_time_ns() - start) / 1e6)
            shown = " -> ".join(f"{np.median(t):.2f} ({min(t):.2f})" for t in times)
            print(f"{name:16} {label:9} {shown}")


def main(arguments):
    manifest = load_toml(HERE / "manifest.toml")
    if arguments == ["--measure"]:
        measure(manifest)
    elif len(arguments) == 3:
        name, published, prepared = arguments
        content = prepare(name, manifest["model"][name], Path(published).read_bytes())
        partial = Path(f"{prepared}.{os.getpid()}.part")
        partial.write_bytes(content)
        partial.replace(prepared)
    else:
        raise SystemExit(__doc__)


if __name__ == "__main__":
    main(sys.argv[1:])

"""FILE: writes iResNet-50 with random weights: what the true architecture costs, without weights that somebody else owns.

Layers as in ArcFace (Deng et al. 2019; `iresnet50` of insightface): 112x112 in, four stages of 3, 4, 14 and 3 blocks with 64, 128, 256
and 512 channels, each block BatchNorm, Conv 3x3, PReLU, Conv 3x3 (stride 2 in a stage's first), 512 values out. As its exporter does, a
BatchNorm after a Conv is folded into it; the one at the start of a block cannot be. Weights are drawn so that activations keep their
size (He et al. 2015), from a fixed seed: same file on every machine.
"""

import sys

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

STAGES = [(64, 3), (128, 4), (256, 14), (512, 3)]


class Graph:
    def __init__(self):
        self.random = np.random.default_rng(50)
        self.nodes, self.weights, self.count = [], [], 0

    def weight(self, array):
        self.count += 1
        name = f"w{self.count}"
        self.weights.append(numpy_helper.from_array(array.astype(np.float32), name))
        return name

    def node(self, kind, *inputs, **attributes):
        self.count += 1
        name = f"x{self.count}"
        self.nodes.append(helper.make_node(kind, inputs, [name], **attributes))
        return name

    def conv(self, x, ins, outs, size, stride):
        drawn = self.random.standard_normal((outs, ins, size, size)) * np.sqrt(2 / (ins * size * size))
        pad = [size // 2] * 4
        bias = self.random.standard_normal(outs) * 0.01
        return self.node("Conv", x, self.weight(drawn), self.weight(bias), kernel_shape=[size] * 2, strides=[stride] * 2, pads=pad)

    def norm(self, x, channels):
        scale = 1 + 0.1 * self.random.standard_normal(channels)
        arrays = [scale, 0.1 * self.random.standard_normal(channels), np.zeros(channels), np.ones(channels)]
        return self.node("BatchNormalization", x, *map(self.weight, arrays), epsilon=1e-5)

    def prelu(self, x, channels):
        return self.node("PRelu", x, self.weight(np.full((channels, 1, 1), 0.25)))

    def block(self, x, ins, outs, stride):
        y = self.prelu(self.conv(self.norm(x, ins), ins, outs, 3, 1), outs)
        y = self.conv(y, outs, outs, 3, stride)
        short = self.conv(x, ins, outs, 1, stride) if stride != 1 or ins != outs else x
        return self.node("Add", y, short)


def main(path):
    g = Graph()
    x = g.prelu(g.conv("input.1", 3, 64, 3, 1), 64)
    ins = 64
    for outs, blocks in STAGES:
        for at in range(blocks):
            x = g.block(x, ins, outs, 2 if at == 0 else 1)
            ins = outs
    x = g.node("Flatten", g.norm(x, 512), axis=1)
    dense = g.random.standard_normal((512, 512 * 7 * 7)) / np.sqrt(512 * 7 * 7)
    x = g.node("Gemm", x, g.weight(dense), g.weight(np.zeros(512)), transB=1)
    g.nodes[-1].output[0] = "683"
    put = helper.make_tensor_value_info("input.1", TensorProto.FLOAT, [1, 3, 112, 112])
    got = helper.make_tensor_value_info("683", TensorProto.FLOAT, [1, 512])
    graph = helper.make_graph(g.nodes, "iresnet50", [put], [got], g.weights)
    net = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 13)], ir_version=8)
    onnx.checker.check_model(net)
    onnx.save(net, path)
    count = sum(np.prod(weight.dims) for weight in g.weights)
    print(f"iresnet50  {path}: {count / 1e6:.1f} million weights, drawn")


if __name__ == "__main__":
    main(*sys.argv[1:])

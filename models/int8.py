"""build SOURCE TARGET INPUT SIZE [RANGES]: quantises one net; scales and corrected biases are those of RANGES, so that the file comes out
the same on every processor. Without RANGES they are those of drawn noise: a net to time, not to use.
measure SOURCE RANGES INPUT SIZE COLOUR SUBTRACT SCALE FACE...: finds them on aligned faces and their mirror images, writes them, and says
how alike both nets' answers are.

Called by models/quantize, in its environment. NNCF: post-training, symmetric, fast bias correction."""

import json
import sys

import nncf
import numpy as np
import onnx
import onnxruntime
from onnx import numpy_helper, version_converter
from PIL import Image

# Scales for each output channel need opset 13.
OPSET = 13


def opened(source):
    net = onnx.load(source)
    return version_converter.convert_version(net, OPSET) if net.opset_import[0].version < OPSET else net


def quantised(source, name, pictures):
    dataset = nncf.Dataset(pictures, lambda picture: {name: picture})
    return nncf.quantize(opened(source), dataset, subset_size=len(pictures))


def noise(size):
    drawn = np.random.default_rng(1)
    return [drawn.uniform(-1, 1, (1, 3, int(size), int(size))).astype(np.float32) for _ in range(2)]


def floats(net):
    return {value.name: value for value in net.graph.initializer if value.data_type == onnx.TensorProto.FLOAT}


def build(source, target, name, size, ranges=None):
    net = quantised(source, name, noise(size))
    if ranges:
        places = floats(net)
        with open(ranges, encoding="utf-8") as file:
            measured = json.load(file)
        for which, numbers in measured.items():
            place = places.get(which)
            if place is None or int(np.prod(place.dims)) != len(numbers):
                sys.exit(f"{ranges}: {which} is no value of this net: measure the ranges anew")
            # As NNCF wrote it: in either of the two ways that ONNX has.
            if place.HasField("raw_data"):
                place.raw_data = np.array(numbers, "<f4").tobytes()
            else:
                place.float_data[:] = numbers
    onnx.save(net, target)


def measure(source, ranges, name, size, colour, subtract, scale, *faces):
    def feed(face):
        pixels = np.asarray(Image.open(face).convert("RGB"), np.float32)
        pixels = pixels[:, :, ::-1] if colour == "BGR" else pixels
        return (pixels.transpose(2, 0, 1)[None] - np.float32(subtract)) * np.float32(scale)

    pictures = [feed(face) for face in faces]
    pictures += [np.ascontiguousarray(picture[:, :, :, ::-1]) for picture in pictures]
    net = quantised(source, name, pictures)
    # What noise gives, too, comes of the weights alone.
    alone = {which: numpy_helper.to_array(value) for which, value in floats(quantised(source, name, noise(size))).items()}
    kept = {which: numpy_helper.to_array(value) for which, value in floats(net).items()}
    kept = {which: value for which, value in kept.items() if not np.array_equal(value, alone[which])}
    with open(ranges, "w", encoding="utf-8") as file:
        lines = (f'"{which}": [{", ".join(str(number) for number in kept[which].ravel())}]' for which in sorted(kept))
        file.write("{\n" + ",\n".join(lines) + "\n}\n")

    options = onnxruntime.SessionOptions()
    options.log_severity_level = 3
    both = [
        onnxruntime.InferenceSession(one.SerializeToString(), options, providers=["CPUExecutionProvider"])
        for one in (opened(source), net)
    ]
    cosines = []
    for picture in pictures[:40]:
        a, b = (one.run(None, {name: picture})[0][0].astype(np.float64) for one in both)
        cosines.append(a @ b / np.linalg.norm(a) / np.linalg.norm(b))
    print(f"{len(pictures)} pictures, cosine with the source: mean {np.mean(cosines):.4f}, least {min(cosines):.4f}")


if __name__ == "__main__":
    {"build": build, "measure": measure}[sys.argv[1]](*sys.argv[2:])

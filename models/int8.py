"""SOURCE TARGET INPUT COLOUR SUBTRACT SCALE FACE...: quantises one net on aligned faces and their mirror images, and says how alike
both answers are. Called by models/quantize, in its environment."""

import sys

import nncf
import numpy as np
import onnx
import onnxruntime
from onnx import version_converter
from PIL import Image

# Scales for each output channel need opset 13.
OPSET = 13


def main(source, target, name, colour, subtract, scale, *faces):
    def feed(face):
        pixels = np.asarray(Image.open(face).convert("RGB"), np.float32)
        pixels = pixels[:, :, ::-1] if colour == "BGR" else pixels
        return (pixels.transpose(2, 0, 1)[None] - np.float32(subtract)) * np.float32(scale)

    pictures = [feed(face) for face in faces]
    pictures += [np.ascontiguousarray(picture[:, :, :, ::-1]) for picture in pictures]
    net = onnx.load(source)
    if net.opset_import[0].version < OPSET:
        net = version_converter.convert_version(net, OPSET)
    dataset = nncf.Dataset(pictures, lambda picture: {name: picture})
    onnx.save(nncf.quantize(net, dataset, subset_size=len(pictures)), target)

    options = onnxruntime.SessionOptions()
    options.log_severity_level = 3
    both = [onnxruntime.InferenceSession(file, options, providers=["CPUExecutionProvider"]) for file in (source, target)]
    cosines = []
    for picture in pictures[:40]:
        a, b = (net.run(None, {name: picture})[0][0].astype(np.float64) for net in both)
        cosines.append(a @ b / np.linalg.norm(a) / np.linalg.norm(b))
    print(f"{len(pictures)} pictures, cosine with the source: mean {np.mean(cosines):.4f}, least {min(cosines):.4f}")


if __name__ == "__main__":
    main(*sys.argv[1:])

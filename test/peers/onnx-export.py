"""FOLDER: ONNX's checker accepts every graph that onnx-export.mjs exported, and ONNX's own reference implementation gives our values."""
import sys
from pathlib import Path

import numpy as np
import onnx
from onnx.reference import ReferenceEvaluator
from safetensors.numpy import load_file

folder = Path(sys.argv[1])
graphs = sorted(folder.glob("*/onnx/*.onnx"))
assert graphs and len(graphs) == 3 * len(list(folder.glob("*/onnx"))), graphs
largest = 0.0
for path in graphs:
    model = onnx.load(path)
    onnx.checker.check_model(model, full_check=True)
    domains = {opset.domain: opset.version for opset in model.opset_import}
    assert domains == {"": 17}, domains
    if path.name != "model.onnx":
        continue
    expected = load_file(path.parent.parent / "expected.safetensors")
    ids, mask = expected["input_ids"], expected["attention_mask"]
    feeds = {"input_ids": ids, "attention_mask": mask, "token_type_ids": np.zeros_like(ids)}
    names = [value.name for value in model.graph.input]
    (result,) = ReferenceEvaluator(model).run(None, {name: feeds[name] for name in names})
    difference = np.abs(result[mask == 1] - expected["packed"]).max()
    assert difference < 1e-4 * max(1, np.abs(expected["packed"]).max()), (path, difference)
    largest = max(largest, float(difference))
print(f"{len(graphs)} graphs checked, reference within {largest:.1e}")

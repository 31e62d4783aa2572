"""Dynamic int8 linear layers of PyTorch by FBGEMM and by oneDNN, and its float products: GFLOP/s by shape. Takes turns with
packed-products.mjs: options as JSON in argv[1], then a shape a line, an answer a line."""

import json
import sys
import time

import torch

options = json.loads(sys.argv[1])
torch.set_num_threads(options["threads"])
print("{}", flush=True)
for line in sys.stdin:
    rows, width, channels = json.loads(line)
    x, linear = torch.randn(rows, width), torch.nn.Linear(width, channels)
    sides = {"torch float32": lambda: linear(x)}
    half, x16 = torch.nn.Linear(width, channels).bfloat16(), x.bfloat16()
    sides["torch bfloat16"] = lambda: half(x16)
    for engine in ("fbgemm", "onednn"):
        torch.backends.quantized.engine = engine
        int8 = torch.ao.quantization.quantize_dynamic(torch.nn.Sequential(torch.nn.Linear(width, channels)), dtype=torch.qint8)
        sides[engine] = lambda int8=int8: int8(x)
    repeats = max(1, int(4e9 / (2 * rows * width * channels)))
    rates = {}
    with torch.inference_mode():
        for name, run in sides.items():
            if name in ("fbgemm", "onednn"):
                torch.backends.quantized.engine = name
            run()
            start = time.perf_counter()
            for _ in range(repeats):
                run()
            rates[name] = 2 * rows * width * channels * repeats / (time.perf_counter() - start) / 1e9
    print(json.dumps(rates), flush=True)

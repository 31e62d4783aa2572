# One of PyTorch's processes in `npm run bench -- distributed`: the step of train-torch.py as a rank under
# DistributedDataParallel over Gloo, whose world the environment tells. Micro-batches but a step's last are taken under `no_sync`;
# gradients are views of DDP's buckets, as its manual advises. Answers tasks as bench/side.mjs says.
import importlib
import json
import os
import resource
import sys
import time
from contextlib import nullcontext

options = json.loads(sys.argv[1])
threads, micro_batches = options.pop("threads"), options.pop("microBatches")
names = ("layers", "batch", "length", "dtype", "mode")
sys.argv = [sys.argv[0], f"--threads={threads}", *(f"--{name}={options[name]}" for name in names)]

import torch
import torch.distributed as dist
from torch.nn.parallel import DistributedDataParallel

dist.init_process_group("gloo")
one = importlib.import_module("train-torch")
model = DistributedDataParallel(one.m, gradient_as_bucket_view=True)
run = torch.compile(model) if options["mode"] == "compile" else model
parts = [one.batch([options["length"]] * options["batch"]) for _ in range(micro_batches)]


def step():
    for i, (*inputs, _) in enumerate(parts):
        with nullcontext() if i == micro_batches - 1 else model.no_sync():
            with one.auto():
                loss = run(*inputs) / micro_batches
            loss.backward()
    torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
    one.opt.step()
    one.opt.zero_grad(set_to_none=True)
    return loss.item()


print("{}", flush=True)
for line in sys.stdin:
    times = []
    for _ in range(json.loads(line)["steps"]):
        begun = time.perf_counter()
        step()
        times.append(1000 * (time.perf_counter() - begun))
    state = [value for of in one.opt.state.values() for value in of.values()]
    held = sum(value.numel() * value.element_size() for value in state)
    held += sum(p.numel() * p.element_size() for p in model.parameters())  # gradients, which are DDP's buckets
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024
    print(json.dumps({"ms": times, "heldBytes": held, "peakMB": peak}), flush=True)
dist.destroy_process_group()

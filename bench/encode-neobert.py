"""One side of bench/encode.mjs: NeoBERT in plain PyTorch, a text at a time. Reads a task a line, answers with a line."""
import json, resource, sys, time
from pathlib import Path

side = json.loads(sys.argv[1])
sys.path.insert(0, str(Path(__file__).parents[1] / "test" / "peers"))
import torch
from safetensors.torch import load_file
from tokenizers import Tokenizer
import neobert_torch

torch.set_num_threads(side["threads"])
rotate = neobert_torch.rotate
neobert_torch.rotate = lambda x, positions: rotate(x.float(), positions).to(x.dtype)
folder = Path(side["model"])
model = neobert_torch.NeoBERT(json.loads((folder / "config.json").read_text()))
model.load_state_dict(load_file(folder / "model.safetensors"), strict=True)
model.to(torch.bfloat16 if side["dtype"] == "bf16" else torch.float32).eval()
tokenizer = Tokenizer.from_file(str(folder / "tokenizer.json"))
tokenizer.no_padding()
tokenizer.enable_truncation(side["maxTokens"])


@torch.inference_mode()
def encode(text):
    ids = torch.tensor([tokenizer.encode(text).ids])
    hidden = model(ids, torch.arange(ids.shape[1])[None], None)[0].float()
    return torch.nn.functional.normalize(hidden.mean(0), dim=0).tolist()


encode("a short text")
print("{}", flush=True)
for line in sys.stdin:
    task = json.loads(line)
    start = time.perf_counter()
    vectors = [encode(text) for text in task["texts"]]
    times = [1e3 * (time.perf_counter() - start)]
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    print(json.dumps({"times": times, "peakMB": peak, "vectors": vectors[:20]}), flush=True)

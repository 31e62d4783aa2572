"""One side of bench/encode.mjs: NeoBERT in plain PyTorch, a text at a time."""
import json, sys
from pathlib import Path
from encode_side import answer, options

sys.path.insert(0, str(Path(__file__).parents[1] / "test" / "peers"))
import torch
from safetensors.torch import load_file
from tokenizers import Tokenizer
import neobert_torch

torch.set_num_threads(options["threads"])
rotate = neobert_torch.rotate
neobert_torch.rotate = lambda x, positions: rotate(x.float(), positions).to(x.dtype)
folder = Path(options["model"])
model = neobert_torch.NeoBERT(json.loads((folder / "config.json").read_text()))
model.load_state_dict(load_file(folder / "model.safetensors"), strict=True)
model.to(torch.bfloat16 if options["dtype"] == "bf16" else torch.float32).eval()
tokenizer = Tokenizer.from_file(str(folder / "tokenizer.json"))
tokenizer.no_padding()
tokenizer.enable_truncation(options["maxTokens"])


@torch.inference_mode()
def encode(text):
    ids = torch.tensor([tokenizer.encode(text).ids])
    hidden = model(ids, torch.arange(ids.shape[1])[None], None)[0].float()
    return torch.nn.functional.normalize(hidden.mean(0), dim=0).tolist()


answer(lambda texts: [encode(text) for text in texts])

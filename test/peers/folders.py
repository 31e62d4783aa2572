# transformers loads the folders of `export hf` without a missing or unexpected tensor and gives the hidden states and logits
# that we give; sentence-transformers the vectors of the embedder. NeoBERT, which they do not know, is loaded by the
# plain PyTorch rendition beside this file. What they save again is for us to read.
import json
import sys
from pathlib import Path
import torch
import transformers
from safetensors.torch import load_file
from torch import nn
from transformers import AutoConfig, AutoModel, AutoModelForMaskedLM
from transformers import AutoModelForSequenceClassification, AutoModelForTokenClassification
import neobert_torch

TOLERANCE = 1e-5  # of the largest value
FIRST_VERSION = {"nomic_bert": 5, "eurobert": 5}
folder = Path(sys.argv[1])
version = int(transformers.__version__.split(".")[0])
classes = {
    "none": AutoModel,
    "maskedLM": AutoModelForMaskedLM,
    "sequenceClassification": AutoModelForSequenceClassification,
    "tokenClassification": AutoModelForTokenClassification,
}
worst, compared = 0.0, []


def compare(where, ours, theirs):
    global worst
    difference = ((ours - theirs).abs().max() / theirs.abs().max()).item()
    assert difference <= TOLERANCE, (where, difference)
    worst = max(worst, difference)


for path in sorted(folder.glob("*-*")):
    ours = load_file(path / "outputs.safetensors")
    lengths = ours["cuSeqlens"].diff().tolist()
    model_type, head = path.name.split("-")
    if version < FIRST_VERSION.get(model_type, 0):
        continue
    if model_type == "neobert":
        model = neobert_torch.load(path)
        with torch.no_grad():
            hidden = model.model(*neobert_torch.packed(ours["ids"], ours["cuSeqlens"]))[0]
            compare((path.name, "hidden"), ours["hidden"], hidden)
            compare((path.name, "logits"), ours["logits"], model.decoder(hidden))
        compared.append(path.name)
        continue
    options = {"attn_implementation": "sdpa", "output_loading_info": True}
    model, info = classes[head].from_pretrained(path, **options)
    missing = [key for key in info["missing_keys"] if "pooler" not in key]  # which nothing here reads
    assert not missing and not info["unexpected_keys"], (path.name, info)
    assert model.config.architectures == [type(model).__name__], (model.config.architectures, type(model))
    pad = lambda rows: nn.utils.rnn.pad_sequence(rows.long().split(lengths), batch_first=True)
    ids = pad(ours["ids"])
    mask = (torch.arange(ids.shape[1]) < torch.tensor(lengths)[:, None]).long()
    ids = torch.where(mask.bool(), ids, model.config.pad_token_id)
    types = {"token_type_ids": pad(ours["tokenTypes"])} if "tokenTypes" in ours else {}
    rows = lambda padded: torch.cat([row[:length] for row, length in zip(padded, lengths)])
    with torch.no_grad():
        result = model.eval()(input_ids=ids, attention_mask=mask, **types)
    if head == "none":
        compare((path.name, "hidden"), ours["hidden"], rows(result.last_hidden_state))
    else:
        logits = result.logits if head == "sequenceClassification" else rows(result.logits)
        compare((path.name, "logits"), ours["logits"], logits)
    model.save_pretrained(folder / "theirs" / path.name)
    compared.append(path.name)

try:
    from sentence_transformers import SentenceTransformer
except ImportError:
    SentenceTransformer = None  # only in one of the environments
if SentenceTransformer:
    expected = json.loads((folder / "embedder" / "vectors.json").read_text())
    embedder = SentenceTransformer(str(folder / "embedder"), device="cpu")
    assert embedder.max_seq_length == 100 and len(embedder) == 3, embedder
    compare("embedder", torch.tensor(expected["vectors"]), torch.from_numpy(embedder.encode(expected["texts"])))
    compared.append("embedder")
assert len(compared) > 10, compared
print(f"transformers {transformers.__version__} on {len(compared)} exported folders: largest difference {worst:.1e} of the largest value")

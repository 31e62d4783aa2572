"""One side of bench/finetune.mjs: sentence-transformers' model and loss, padded as batches come. Reads a task a line."""
import json, random, resource, sys, time

side = json.loads(sys.argv[1])
import torch

torch.set_num_threads(side["threads"])
from sentence_transformers import SentenceTransformer
from sentence_transformers.losses import MultipleNegativesRankingLoss

model = SentenceTransformer(side["model"], device="cpu")
model.max_seq_length = side["maxTokens"]
if "dropout" in side:
    for module in model.modules():
        if isinstance(module, torch.nn.Dropout):
            module.p = side["dropout"]
        if hasattr(module, "dropout_prob"):
            module.dropout_prob = side["dropout"]
loss_of = MultipleNegativesRankingLoss(model, scale=1 / 0.07)
model.train()
optimizer = torch.optim.AdamW(model.parameters(), lr=2e-5, weight_decay=0.01)
rows = [json.loads(line) for line in open(side["file"])]
random.Random(0).shuffle(rows)
position = 0
print("{}", flush=True)
for line in sys.stdin:
    task = json.loads(line)
    tokens = 0
    start = time.perf_counter()
    for _ in range(task["steps"]):
        batch = [rows[(position + i) % len(rows)] for i in range(side["pairs"])]
        position += side["pairs"]
        features = [model.tokenize([row[column] for row in batch]) for column in ("query", "positive")]
        tokens += sum(int(feature["attention_mask"].sum()) for feature in features)
        optimizer.zero_grad()
        with torch.autocast("cpu", torch.bfloat16, enabled=side["dtype"] == "bf16"):
            loss = loss_of(features, None)
        loss.backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimizer.step()
    seconds = time.perf_counter() - start
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    print(json.dumps({"tokens": tokens, "seconds": seconds, "loss": float(loss), "peakMB": peak}), flush=True)

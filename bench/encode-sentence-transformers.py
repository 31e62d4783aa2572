"""One side of bench/encode.mjs: sentence-transformers on torch or ONNX Runtime. Reads a task a line, answers with a line."""
import json, resource, sys, time

side = json.loads(sys.argv[1])
import torch

torch.set_num_threads(side["threads"])
from sentence_transformers import SentenceTransformer

settings = {"torch_dtype": torch.bfloat16} if side["dtype"] == "bf16" else {}
if side["engine"] == "onnx":
    settings = {"file_name": side["file"]}
model = SentenceTransformer(side["model"], backend=side["engine"], device="cpu", model_kwargs=settings)
if side.get("maxTokens"):
    model.max_seq_length = side["maxTokens"]
batch = side["batch"]
model.encode(["a short text"], normalize_embeddings=True)
print("{}", flush=True)
for line in sys.stdin:
    task = json.loads(line)
    times, vectors = [], []
    for texts in [[text] for text in task["texts"]] if task.get("single") else [task["texts"]]:
        start = time.perf_counter()
        vectors.extend(model.encode(texts, batch_size=batch, normalize_embeddings=True))
        times.append(1e3 * (time.perf_counter() - start))
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    answer = {"times": times, "peakMB": peak, "vectors": [list(map(float, vector)) for vector in vectors[:20]]}
    print(json.dumps(answer), flush=True)

"""scikit-learn's side of bench/evaluate-learners.mjs: LogisticRegression and MiniBatchKMeans called as mteb 1.34 calls them.
Reads a task a line (JSON, vectors in a file of float32), answers with a line: seconds, labels, and what it did."""
import json, sys, time, warnings

import numpy as np
from sklearn.cluster import MiniBatchKMeans
from sklearn.linear_model import LogisticRegression

warnings.filterwarnings("ignore")
print("{}", flush=True)
for line in sys.stdin:
    task = json.loads(line)
    vectors = np.fromfile(task["file"], dtype=np.float32).reshape(-1, task["d"])
    if task["kind"] == "logistic regression":
        train, test = vectors[: task["train"]], vectors[task["train"] :]
        start = time.perf_counter()
        model = LogisticRegression(random_state=42, n_jobs=-1, max_iter=100)
        model.fit(train, task["labels"])
        labels = model.predict(test)
        seconds, steps = time.perf_counter() - start, int(model.n_iter_[0])
    else:
        start = time.perf_counter()
        model = MiniBatchKMeans(n_clusters=task["k"], batch_size=500, n_init="auto", random_state=task["seed"])
        labels = model.fit(vectors).labels_
        seconds, steps = time.perf_counter() - start, int(model.n_steps_)
    print(json.dumps({"seconds": seconds, "labels": [int(label) for label in labels], "steps": steps}), flush=True)

"""What the Python sides of bench/encode.mjs share: the options they are told, and the answers to its tasks (bench/side.mjs)."""
import json, resource, sys, time

options = json.loads(sys.argv[1])


def answer(encode):
    """Answers tasks by `encode`, which takes texts and returns their vectors; times in ms."""
    encode(["a short text"])
    print("{}", flush=True)
    for line in sys.stdin:
        task = json.loads(line)
        times, vectors = [], []
        for texts in [[text] for text in task["texts"]] if task.get("single") else [task["texts"]]:
            start = time.perf_counter()
            vectors.extend(encode(texts))
            times.append(1e3 * (time.perf_counter() - start))
        peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
        kept = [list(map(float, vector)) for vector in vectors[:64]]
        print(json.dumps({"times": times, "peakMB": peak, "vectors": kept}), flush=True)

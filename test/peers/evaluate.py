"""Our table of tasks beside mteb's benchmark, and our result files loaded by mteb."""
import json, sys
from pathlib import Path

import mteb
from mteb.load_results.task_results import TaskResult
from mteb.model_meta import ModelMeta

folder = Path(sys.argv[1])
table = {task["name"]: task for task in json.loads((folder / "table.json").read_text())}
benchmark = mteb.get_benchmark("MTEB(eng, v1)")
tasks = {task.metadata.name: task for task in benchmark.tasks}
assert sorted(tasks) == sorted(table), set(tasks) ^ set(table)


def same(task, ours):
    meta = task.metadata
    pairs = {
        "type": (meta.type, ours["type"]),
        "revision": (meta.dataset["revision"], ours["hub"]["revision"]),
        "splits": (task.eval_splits, [ours["split"]]),
        "subsets": (list(task.hf_subsets) if hasattr(task, "hf_subsets") else ["default"], [ours["subset"]]),
        "main score": (meta.main_score, ours["mainScore"]),
    }
    if "subtasks" not in ours:
        pairs["data set"] = (meta.dataset["path"], ours["hub"]["name"])
        prompt = meta.prompt or type(task).abstask_prompt
        expected = {"query": prompt["query"], "document": ""} if isinstance(prompt, dict) else {"query": prompt, "document": prompt}
        if "prompt" in ours:
            pairs["prompt"] = (expected, ours["prompt"])
    if meta.type == "Classification":
        pairs["samples per label"] = (task.samples_per_label, ours["samplesPerLabel"])
    if meta.type == "Retrieval" and "subtasks" not in ours:
        pairs["identical ids"] = (task.ignore_identical_ids, ours["ignoreIdenticalIds"])
    if meta.type in ("STS", "Summarization"):
        pairs["range"] = ([task.min_score, task.max_score], ours["scoreRange"])
    for what, (theirs, mine) in pairs.items():
        assert theirs == mine, f"{meta.name}: {what}: {theirs} and {mine}"


for name, task in tasks.items():
    same(task, table[name])
    for part, ours in zip(getattr(task, "tasks", []), table[name].get("subtasks", []), strict=True):
        same(part, ours)

[results] = folder.glob("all-MiniLM-L6-v2/*")
loaded = 0
for path in results.glob("*.json"):
    if path.name in ("model_meta.json", "neobert.json"):
        continue
    result = TaskResult.from_disk(path)
    raw = json.loads(path.read_text())
    task = tasks.get(result.task_name)
    scores = raw["scores"][task.eval_splits[0] if task else "test"][0]
    if task:
        assert abs(result.get_score() - scores["main_score"]) < 1e-9
        assert result.task_type == task.metadata.type and result.languages == ["eng"]
        assert scores["main_score"] == scores[task.metadata.main_score]
    result.to_disk(path.with_suffix(".copy"))
    copied = json.loads(path.with_suffix(".copy").read_text())
    assert copied == raw, f"{path.name} changes when mteb writes it again"
    loaded += 1
meta = json.loads((results / "model_meta.json").read_text())
meta.pop("loader")
assert ModelMeta(**meta).name == "all-MiniLM-L6-v2"
print(f"{len(table)} tasks as in mteb {mteb.__version__}; {loaded} result files load in it")

"""One side of bench/evaluate.mjs: mteb with sentence-transformers. Reads a task a line, answers with a line. The data come
from the file that the line names, put in the place of what the task would load from the Hub; reading it is not counted."""
import json, logging, sys, time, warnings

side = json.loads(sys.argv[1])
warnings.filterwarnings("ignore")
import torch

torch.set_num_threads(side["threads"])
import mteb
from mteb.models.sentence_transformer_wrapper import SentenceTransformerWrapper
from sentence_transformers import SentenceTransformer

logging.disable(logging.WARNING)
encode_seconds = 0.0


class Timed(SentenceTransformerWrapper):
    def encode(self, *arguments, **options):
        global encode_seconds
        start = time.perf_counter()
        try:
            return super().encode(*arguments, **options)
        finally:
            encode_seconds += time.perf_counter() - start


model = Timed(SentenceTransformer(side["model"], device="cpu"))
model.model.encode(["a short text"])

# Sets that are not MTEB's are scored by the task of their type that does nothing of its own.
stand_ins = {
    "STS": "SICK-R",
    "Reranking": "AskUbuntuDupQuestions",
    "Summarization": "SummEval",
    "PairClassification": "TwitterSemEval2015",
    "Clustering": "TwentyNewsgroupsClustering",
}
names = {task.metadata.name for task in mteb.get_benchmark("MTEB(eng, v1)").tasks}


def dataset_of(data):
    if data["type"] == "Classification":
        return {part: {"text": data[part]["texts"], "label": data[part]["labels"]} for part in ("train", "test")}
    if data["type"] == "Clustering":
        return {"test": data["sets"]}
    if data["type"] == "PairClassification":
        pairs = {"sentence1": data["sentences1"], "sentence2": data["sentences2"], "labels": data["labels"]}
        return {"test": [pairs]}
    if data["type"] == "Reranking":
        return {"test": data["samples"]}
    if data["type"] == "STS":
        return {"test": {"sentence1": data["sentences1"], "sentence2": data["sentences2"], "score": data["scores"]}}
    if data["type"] == "Summarization":
        columns = {"human_summaries": "human", "machine_summaries": "machine", "relevance": "relevance"}
        table = {theirs: [sample[ours] for sample in data["samples"]] for theirs, ours in columns.items()}
        return {"test": {**table, "text": [""] * len(data["samples"])}}
    raise ValueError(data["type"])


print("{}", flush=True)
for line in sys.stdin:
    question = json.loads(line)
    name = question["name"] if question["name"] in names else stand_ins[question["type"]]
    task = mteb.get_task(name, languages=["eng"])
    with open(question["file"]) as file:
        data = json.load(file)
    if data["type"] == "Retrieval":
        task.corpus = {"test": {document["id"]: document["text"] for document in data["corpus"]}}
        task.queries = {"test": {query["id"]: query["text"] for query in data["queries"]}}
        task.relevant_docs = {"test": data["judgements"]}
    else:
        task.dataset = dataset_of(data)
        if task.is_multilingual:
            task.dataset = {"en": task.dataset}
    task.data_loaded = True
    encode_seconds = 0.0
    start = time.perf_counter()
    scores = task.evaluate(model, "test", encode_kwargs={"show_progress_bar": False})
    seconds = time.perf_counter() - start
    [entry] = scores.values()
    answer = {"score": float(entry["main_score"]), "encode": encode_seconds, "rest": seconds - encode_seconds}
    print(json.dumps(answer), flush=True)

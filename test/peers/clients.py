"""PyPI's clients against a running server: each gets the library's vectors, in the texts' order. Run by clients.mjs.

    python clients.py CASE.json
"""

import json
import os
import sys
import traceback
import warnings

warnings.filterwarnings("ignore")
case = json.load(open(sys.argv[1]))
url, key, texts, query = case["url"], case["key"], case["texts"], case["query"]
model = "minilm"
os.environ["CLIENT_KEY"] = key

import numpy as np

expected = np.array(case["vectors"])
scores = np.array(case["scores"])


def same(found, expected=expected, tolerance=1e-6):
    found = np.array(found, dtype=np.float64)
    assert found.shape == expected.shape, f"shape {found.shape}, not {expected.shape}"
    worst = np.abs(found - expected).max()
    assert worst < tolerance, f"differs by {worst}"


def ranked(found):
    """Pairs of index and score, sorted or not."""
    assert len(found) == len(scores), f"{len(found)} scores"
    for index, score in found:
        assert abs(score - scores[index]) < 1e-6, f"score {index}: {score}, not {scores[index]}"


def openai():
    from openai import BadRequestError, OpenAI

    client = OpenAI(base_url=f"{url}/v1", api_key=key)
    for how in ({}, {"encoding_format": "float"}):
        same([row.embedding for row in client.embeddings.create(model=model, input=texts, **how).data])
    many = texts * (2048 // len(texts) + 1)
    found = [row.embedding for row in client.embeddings.create(model=model, input=many[:2048]).data]
    same(found, np.array((case["vectors"] * (2048 // len(texts) + 1))[:2048]))
    try:
        client.embeddings.create(model=model, input="house " * 1000)
        raise AssertionError("a text that is too long was taken")
    except BadRequestError as error:
        assert "maximum context length" in error.message and error.type == "invalid_request_error"


def langchain_openai():
    from langchain_openai import OpenAIEmbeddings

    how = {"model": model, "api_key": key}
    same(
        OpenAIEmbeddings(base_url=f"{url}/v1", check_embedding_ctx_length=False, **how).embed_documents(texts)
    )
    # As it is unless told otherwise: token ids of cl100k_base.
    same(OpenAIEmbeddings(base_url=f"{case['cl100kUrl']}/v1", **how).embed_documents(texts))


def huggingface_hub():
    from huggingface_hub import InferenceClient
    from huggingface_hub.errors import HfHubHTTPError

    client = InferenceClient(model=url, token=key)
    same(np.concatenate([client.feature_extraction(text) for text in texts]))
    same(client.feature_extraction(texts[0], normalize=True, truncate=True), expected[:1])
    cosines = client.sentence_similarity(texts[0], other_sentences=texts)
    same(cosines, expected @ expected[0])
    try:
        client.feature_extraction("house " * 1000, truncate=False)
        raise AssertionError("a text that is too long was taken")
    except HfHubHTTPError as error:
        assert "must have less than" in str(error), str(error)


def llama_index():
    from llama_index.core.schema import NodeWithScore, TextNode
    from llama_index.embeddings.text_embeddings_inference import TextEmbeddingsInference
    from llama_index.postprocessor.tei_rerank import TextEmbeddingInference

    embedder = TextEmbeddingsInference(
        base_url=url, model_name=model, auth_token=key, text_instruction="", query_instruction=""
    )
    same(embedder.get_text_embedding_batch(texts))
    same([embedder.get_query_embedding(texts[1])], expected[1:2])
    nodes = [NodeWithScore(node=TextNode(text=text, id_=str(i)), score=0) for i, text in enumerate(texts)]
    ranker = TextEmbeddingInference(base_url=url, auth_token=f"Bearer {key}", top_n=len(texts))
    ranked([(int(node.node.id_), node.score) for node in ranker.postprocess_nodes(nodes, query_str=query)])


def chromadb():
    from chromadb.utils.embedding_functions import HuggingFaceEmbeddingServer

    same(HuggingFaceEmbeddingServer(url=f"{url}/embed", api_key_env_var="CLIENT_KEY")(texts))


def haystack():
    from haystack import Document
    from haystack.utils import Secret
    from haystack_integrations.components.embedders.huggingface_api import (
        HuggingFaceAPIDocumentEmbedder,
        HuggingFaceAPITextEmbedder,
    )
    from haystack_integrations.components.rankers.huggingface_api import HuggingFaceTEIRanker

    how = {"api_type": "text_embeddings_inference", "api_params": {"url": url}, "normalize": True}
    how["token"] = Secret.from_token(key)
    documents = [Document(content=text, id=str(i)) for i, text in enumerate(texts)]
    same([found.embedding for found in HuggingFaceAPIDocumentEmbedder(**how).run(documents=documents)["documents"]])
    same([HuggingFaceAPITextEmbedder(**how).run(text=texts[0])["embedding"]], expected[:1])
    ranker = HuggingFaceTEIRanker(url=url, top_k=len(texts), token=Secret.from_token(key))
    ranked([(int(found.id), found.score) for found in ranker.run(query=query, documents=documents)["documents"]])


def cohere():
    import cohere

    client = cohere.ClientV2(api_key=key, base_url=url)
    how = {"model": model, "input_type": "search_document"}
    found = client.embed(texts=texts, embedding_types=["float", "base64"], **how).embeddings
    same(found.float_)
    results = client.rerank(model="rank", query=query, documents=texts, top_n=len(texts)).results
    ranked([(found.index, found.relevance_score) for found in results])


def ollama():
    from ollama import Client, ResponseError

    client = Client(host=url, headers={"authorization": f"Bearer {key}"})
    same(client.embed(model=model, input=texts).embeddings)
    try:
        client.embed(model="llama", input=texts)
        raise AssertionError("an unknown model was taken")
    except ResponseError as error:
        assert error.status_code == 404


def tei_client():
    """Its models hold each answer against the contract of Text Embeddings Inference."""
    from tei_client import HttpClient

    headers = {"authorization": f"Bearer {key}"}
    client = HttpClient(url, headers=headers)
    info = client.info()
    assert info.server_model_metadata.pooling == "mean" and info.max_client_batch_size == 2048
    same(client.embed(texts, truncate=True))
    assert all(len(rows) > 2 for rows in client.embed_all(texts, truncate=True))
    tokens = client.tokenize(texts[1])
    assert client.decode([result.get_ids() for result in tokens]) == [texts[1]]
    assert len(tokens[0].tokens) > 2 and tokens[0].tokens[0].special
    ranker = HttpClient(case["rankUrl"], headers=headers)
    ranked([(found.index, found.score) for found in ranker.rerank(query, texts).ranks])


def mteb():
    """A whole task, with its data here: the scores are those of the vectors themselves."""
    import datasets
    import mteb
    from mteb.abstasks.sts import AbsTaskSTS
    from mteb.abstasks.task_metadata import TaskMetadata
    from mteb.models import OpenAIAPIEncodeWrapper, OpenAIAPIRerankWrapper, OpenAIAPITokenEmbedWrapper
    from scipy.stats import spearmanr

    pairs = [(i, j) for i in range(len(texts)) for j in range(i)]
    gold = [float((7 * i + 3 * j) % 11) for i, j in pairs]

    class Local(AbsTaskSTS):
        metadata = TaskMetadata(
            name="LocalSTS",
            description="Pairs of the case's texts.",
            dataset={"path": "local/sts", "revision": "1"},
            type="STS",
            category="t2t",
            modalities=["text"],
            eval_splits=["test"],
            eval_langs=["eng-Latn"],
            main_score="cosine_spearman",
            reference=None,
            date=None,
            domains=None,
            task_subtypes=None,
            license=None,
            annotations_creators=None,
            dialect=None,
            sample_creation=None,
            bibtex_citation=None,
        )
        min_score, max_score = 0, 10

        def load_data(self, *_, **__):
            columns = {"sentence1": [texts[i] for i, _ in pairs], "sentence2": [texts[j] for _, j in pairs]}
            self.dataset = datasets.DatasetDict({"test": datasets.Dataset.from_dict({**columns, "score": gold})})
            self.data_loaded = True

    encoder = OpenAIAPIEncodeWrapper(endpoint_url=url, model_name=model, api_key=key)
    plain = OpenAIAPIEncodeWrapper(endpoint_url=url, model_name=model, api_key=key, use_chat_template=False)
    own = spearmanr(gold, [expected[i] @ expected[j] for i, j in pairs]).statistic
    for one in (encoder, plain):
        result = mteb.evaluate(one, Local(), cache=None, overwrite_strategy="always")
        found = result.task_results[0].scores["test"][0]["main_score"]
        assert abs(found - own) < 1e-3, f"score {found}, not {own}"

    ranker = OpenAIAPIRerankWrapper(endpoint_url=url, model_name="rank", api_key=key)
    ranked(list(enumerate(np.array(ranker._rerank(query, texts)).tolist())))
    tokens = OpenAIAPITokenEmbedWrapper(endpoint_url=url, model_name=model, api_key=key)
    rows = tokens._pooling_request({"model": model, "input": texts})
    same(np.stack([row.mean(0) / np.linalg.norm(row.mean(0)) for row in rows]))


clients = [openai, langchain_openai, huggingface_hub, llama_index, chromadb, haystack, cohere, ollama, tei_client, mteb]
passed = []
for client in clients:
    try:
        client()
        passed.append(client.__name__)
    except Exception:
        print(f"{client.__name__}: {traceback.format_exc()}")
print(f"PyPI: {', '.join(passed)}")
sys.exit(0 if len(passed) == len(clients) else 1)

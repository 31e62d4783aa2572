"""One side of bench/encode.mjs: fastembed on our exported graph, as a model of one's own. It pads a batch to its longest text,
so texts are sorted by length first."""
from encode_side import answer, options
from fastembed import TextEmbedding
from fastembed.common.model_description import ModelSource, PoolingType

TextEmbedding.add_custom_model(
    model="bench/exported",
    pooling=PoolingType.MEAN,
    normalization=True,
    sources=ModelSource(hf="bench/exported"),  # not asked for: the files are here
    dim=options["dim"],
    model_file=options["file"],
)
embedder = TextEmbedding("bench/exported", specific_model_path=options["model"], threads=options["threads"])
embedder.model.tokenizer.enable_truncation(options["maxTokens"])


def encode(texts):
    order = sorted(range(len(texts)), key=lambda i: -len(texts[i]))
    vectors = [None] * len(texts)
    found = embedder.embed([texts[i] for i in order], batch_size=options["batch"])
    for i, vector in zip(order, found):
        vectors[i] = vector
    return vectors


answer(encode)

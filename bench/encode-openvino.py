"""One side of bench/encode.mjs: OpenVINO on our exported graph, in fp32, bf16 or static int8. Texts go sorted by length into
batches of a budget of tokens, `streams` requests at a time share the threads, and vectors are pooled in numpy.

int8 is NNCF's post-training quantization for transformers, calibrated on the texts in the file `calibration`, which are none of
those measured. It is made once and kept in the file `quantized`, as a user would."""
import json
from pathlib import Path
from encode_side import answer, options
import numpy as np
import openvino
from tokenizers import Tokenizer

tokenizer = Tokenizer.from_file(options["tokenizer"])
tokenizer.no_padding()
tokenizer.enable_truncation(options["maxTokens"])
core = openvino.Core()


def feeds(rows):
    """The graph's inputs for rows of ids, padded to the longest."""
    ids = np.zeros((len(rows), max(map(len, rows))), np.int64)
    mask = np.zeros_like(ids)
    for k, row in enumerate(rows):
        ids[k, : len(row)] = row
        mask[k, : len(row)] = 1
    values = {"input_ids": ids, "attention_mask": mask, "token_type_ids": np.zeros_like(ids)}
    return {name: values[name] for name in names}


def quantize(out):
    import nncf

    texts = json.loads(Path(options["calibration"]).read_text())
    data = nncf.Dataset(texts, lambda text: feeds([tokenizer.encode(text).ids]))
    model = core.read_model(options["model"])
    quantized = nncf.quantize(model, data, model_type=nncf.ModelType.TRANSFORMER, subset_size=len(texts))
    openvino.save_model(quantized, out, compress_to_fp16=False)


names = [tensor.get_any_name() for tensor in core.read_model(options["model"]).inputs]
if options["dtype"] == "int8" and not Path(options["quantized"]).exists():
    quantize(options["quantized"])
compiled = core.compile_model(
    options["quantized" if options["dtype"] == "int8" else "model"],
    "CPU",
    {
        "INFERENCE_NUM_THREADS": options["threads"],
        "NUM_STREAMS": options["streams"],
        "INFERENCE_PRECISION_HINT": "bf16" if options["dtype"] == "bf16" else "f32",
    },
)
queue = openvino.AsyncInferQueue(compiled, options["streams"])


def encode(texts):
    ids = [encoding.ids for encoding in tokenizer.encode_batch(texts)]
    vectors = [None] * len(ids)

    def pool(request, rows):
        hidden = request.get_output_tensor(0).data
        for k, i in enumerate(rows):
            vector = hidden[k, : len(ids[i])].mean(0)
            vectors[i] = vector / np.linalg.norm(vector)

    queue.set_callback(pool)
    order = sorted(range(len(ids)), key=lambda i: -len(ids[i]))
    while order:
        count = max(1, options["tokens"] // len(ids[order[0]]))
        rows, order = order[:count], order[count:]
        queue.start_async(feeds([ids[i] for i in rows]), rows)
    queue.wait_all()
    return vectors


answer(encode)

"""One side of bench/encode.mjs: sentence-transformers on torch or ONNX Runtime. It sorts the texts by length itself."""
from encode_side import answer, options
import torch

torch.set_num_threads(options["threads"])
from sentence_transformers import SentenceTransformer

settings = {"torch_dtype": torch.bfloat16} if options["dtype"] == "bf16" else {}
if options["engine"] == "onnx":
    import onnxruntime

    session_options = onnxruntime.SessionOptions()
    session_options.intra_op_num_threads = options["threads"]
    settings = {"file_name": options["file"], "session_options": session_options}
model = SentenceTransformer(options["model"], backend=options["engine"], device="cpu", model_kwargs=settings)
model.max_seq_length = options["maxTokens"]
answer(lambda texts: model.encode(texts, batch_size=options["batch"], normalize_embeddings=True))

# Python's safetensors reads our file of every dtype, and writes the same tensors itself, whole and in shards.
import sys
from pathlib import Path
import torch
from huggingface_hub import save_torch_state_dict
from safetensors import safe_open
from safetensors.torch import save_file

folder = Path(sys.argv[1])
dtypes = {
    "F64": torch.float64, "F32": torch.float32, "F16": torch.float16, "BF16": torch.bfloat16, "I64": torch.int64,
    "I32": torch.int32, "I16": torch.int16, "I8": torch.int8, "U8": torch.uint8, "BOOL": torch.bool,
}  # fmt: skip
shapes = {"matrix": (13, 7), "scalar": (), "empty": (0, 4)}


def expected(dtype, shape):
    eighths = (torch.arange(1, 1 + torch.Size(shape).numel()) * 37) % 101 - 50
    values = {"U8": eighths.abs(), "BOOL": eighths > 0}.get(dtype, eighths if dtype[0] == "I" else eighths / 8)
    return values.to(dtypes[dtype]).reshape(shape)


tensors = {f"{kind}.{dtype}": expected(dtype, shape) for dtype in dtypes for kind, shape in shapes.items()}
with safe_open(folder / "ours.safetensors", framework="pt") as ours:
    assert ours.metadata() == {"format": "pt", "author": "ö\n"}, ours.metadata()
    assert sorted(ours.keys()) == sorted(tensors), ours.keys()
    for name, tensor in tensors.items():
        read = ours.get_tensor(name)
        assert read.dtype == tensor.dtype and torch.equal(read, tensor), (name, read, tensor)
save_file(tensors, folder / "theirs.safetensors", metadata={"format": "pt"})
(folder / "sharded").mkdir(exist_ok=True)
save_torch_state_dict(tensors, folder / "sharded", max_shard_size=1000)
shards = len(list((folder / "sharded").glob("model-*.safetensors")))
assert shards > 1, shards
print(f"safetensors reads ours in {len(dtypes)} dtypes")

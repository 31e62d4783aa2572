# Plain PyTorch gives our saved models the hidden states and logits that we give them, on packed and on padded input.
import sys
from pathlib import Path
import torch
from safetensors.torch import load_file
from neobert_torch import load, packed, padded

TOLERANCE = 1e-5  # of the largest value
folder = Path(sys.argv[1])
worst = 0.0
names = sorted(path.name for path in folder.iterdir())
for name in names:
    model = load(folder / name)
    ours = load_file(folder / name / "outputs.safetensors")
    ids, cu_seqlens = ours["ids"], ours["cuSeqlens"]
    lengths = cu_seqlens.diff().tolist()
    for layout in (packed, padded):
        with torch.no_grad():
            hidden = model.model(*layout(ids, cu_seqlens))
            if layout is padded:
                hidden = torch.cat([row[:length] for row, length in zip(hidden, lengths)])
            theirs = {"hidden": hidden.reshape(len(ids), -1), "logits": model.decoder(hidden.reshape(len(ids), -1))}
        for output, values in theirs.items():
            difference = ((values - ours[output]).abs().max() / values.abs().max()).item()
            assert difference <= TOLERANCE, (name, layout.__name__, output, difference)
            worst = max(worst, difference)
print(f"PyTorch's hidden states and logits of {', '.join(names)}: largest difference {worst:.1e} of the largest value")

# A run that recorded-run.mjs has left: its options, its micro-batches, its losses, its schedule; and the summed loss of a
# micro-batch in plain PyTorch.
import json
import math
from pathlib import Path
import torch
import torch.nn.functional as F
from safetensors.torch import load_file
from neobert_torch import packed


class RecordedRun:
    def __init__(self, folder):
        self.folder = Path(folder)
        self.options = json.loads((self.folder / "run.json").read_text())
        self.batches = load_file(self.folder / "batches.safetensors")

    def losses(self):
        """Mean loss of every step, as the run has logged it."""
        lines = [json.loads(line) for line in (self.folder / "run" / "metrics.jsonl").read_text().splitlines()]
        losses = [line["loss"] for line in lines if "loss" in line]
        assert len(losses) == self.options["steps"], len(losses)
        return losses

    def micro_batches(self, step):
        parts = []
        while f"{step}.{len(parts)}.ids" in self.batches:
            names = ("ids", "cuSeqlens", "maskedRows", "labels")
            parts.append({name: self.batches[f"{step}.{len(parts)}.{name}"] for name in names})
        return parts

    def optimizer(self, parameters):
        options = self.options["optimizer"]
        return torch.optim.AdamW(
            parameters, betas=options["betas"], eps=options["eps"], weight_decay=options["weightDecay"]
        )

    def learning_rate(self, step):
        """The paper's: linear warm-up from zero, cosine to a share of the peak, constant from there."""
        peak, schedule = self.options["optimizer"]["lr"], self.options["schedule"]
        warmup, end, final = schedule["warmupSteps"], schedule["decaySteps"], schedule["finalRatio"]
        if step < warmup:
            return peak * step / warmup
        progress = min(1, (step - warmup) / (end - warmup))
        return peak * (final + (1 - final) * (1 + math.cos(math.pi * progress)) / 2)


def summed_loss(model, part):
    hidden = model.model(*packed(part["ids"], part["cuSeqlens"]))[0]
    logits = model.decoder(hidden[part["maskedRows"].long()])
    return F.cross_entropy(logits, part["labels"].long(), reduction="sum")

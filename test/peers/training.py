# PyTorch repeats our run from the same weights on the same batches: the losses of the two agree. Draws both curves and
# their difference into parity.svg.
import sys
from pathlib import Path
import matplotlib
import matplotlib.pyplot as plt
import torch
from neobert_torch import load
from recorded_run import RecordedRun, summed_loss

FIRST_STEPS, FIRST_TOLERANCE = 20, 1e-3
LAST_STEPS, LAST_TOLERANCE = 50, 0.02

folder = Path(sys.argv[1])
run = RecordedRun(folder)
ours, theirs = run.losses(), []
model = load(folder / "initial")
adamw = run.optimizer(model.parameters())
for step in range(len(ours)):
    parts = run.micro_batches(step)
    targets = sum(len(part["labels"]) for part in parts)
    loss = 0.0
    for part in parts:
        part_loss = summed_loss(model, part) / targets
        part_loss.backward()
        loss += part_loss.item()
    torch.nn.utils.clip_grad_norm_(model.parameters(), run.options["clipNorm"])
    for group in adamw.param_groups:
        group["lr"] = run.learning_rate(step)
    adamw.step()
    adamw.zero_grad()
    theirs.append(loss)

difference = [a - b for a, b in zip(ours, theirs)]
largest = max(abs(value) for value in difference)
first = max(abs(value) for value in difference[:FIRST_STEPS])
mean = lambda losses: sum(losses[-LAST_STEPS:]) / LAST_STEPS

matplotlib.rcParams.update({"svg.fonttype": "none", "svg.hashsalt": "neobert", "font.family": "sans-serif"})
figure, (curves, below) = plt.subplots(
    2, 1, sharex=True, figsize=(8, 5.5), height_ratios=(2, 1), layout="constrained"
)
curves.plot(theirs, color="tab:orange", linewidth=3, alpha=0.6, label="PyTorch")
curves.plot(ours, color="tab:blue", linewidth=1, label="this project")
curves.set_ylabel("masked loss (nats)")
curves.legend(frameon=False)
below.plot(difference, color="black", linewidth=0.8)
below.ticklabel_format(axis="y", style="sci", scilimits=(0, 0))
below.set_ylabel("difference (nats)")
below.set_xlabel("optimizer step")
for axes in (curves, below):
    axes.grid(alpha=0.3)
title = "Losses of the same run here and in PyTorch"
figure.savefig(folder / "parity.svg", metadata={"Title": title, "Date": None, "Creator": None})

assert first <= FIRST_TOLERANCE, (first, difference[:FIRST_STEPS])
assert abs(mean(ours) - mean(theirs)) <= LAST_TOLERANCE, (mean(ours), mean(theirs))
print(
    f"loss {ours[0]:.4f} to {mean(ours):.4f}, PyTorch {theirs[0]:.4f} to {mean(theirs):.4f}; largest difference "
    f"{first:.1e} in the first {FIRST_STEPS} steps, {largest:.1e} in all"
)

# Two processes of DistributedDataParallel over Gloo repeat the run of our two from the same weights on the same micro-batches,
# number i of a step on rank i % 2: the losses agree at every step. DDP divides by the number of ranks, so that each loss is
# multiplied by it, and divided by the targets of the whole step.
import sys
import tempfile
from contextlib import nullcontext
import torch
import torch.distributed as dist
from torch.nn.parallel import DistributedDataParallel
from neobert_torch import load
from recorded_run import RecordedRun, summed_loss

RANKS, TOLERANCE = 2, 1e-5


class SummedLoss(torch.nn.Module):
    """DDP wants all that is differentiated in one forward call."""

    def __init__(self, model):
        super().__init__()
        self.model = model

    def forward(self, part):
        return summed_loss(self.model, part)


def train(rank, folder, store, losses):
    torch.set_num_threads(1)
    dist.init_process_group("gloo", init_method=f"file://{store}", rank=rank, world_size=RANKS)
    run = RecordedRun(folder)
    module = DistributedDataParallel(SummedLoss(load(run.folder / "initial")))
    adamw = run.optimizer(module.parameters())
    for step in range(run.options["steps"]):
        parts = run.micro_batches(step)
        own, targets = parts[rank::RANKS], sum(len(part["labels"]) for part in parts)
        loss = torch.zeros(())
        for part in own:
            with nullcontext() if part is own[-1] else module.no_sync():
                part_loss = module(part) / targets
                (part_loss * RANKS).backward()
                loss += part_loss.detach()
        torch.nn.utils.clip_grad_norm_(module.parameters(), run.options["clipNorm"])
        for group in adamw.param_groups:
            group["lr"] = run.learning_rate(step)
        adamw.step()
        adamw.zero_grad()
        dist.all_reduce(loss)
        losses[step] = loss
    dist.destroy_process_group()


if __name__ == "__main__":
    folder = sys.argv[1]
    ours = RecordedRun(folder).losses()
    losses = torch.zeros(len(ours)).share_memory_()
    with tempfile.TemporaryDirectory() as place:
        torch.multiprocessing.spawn(train, (folder, f"{place}/store", losses), nprocs=RANKS)
    largest = max(abs(a - b) for a, b in zip(ours, losses.tolist()))
    assert largest <= TOLERANCE, largest
    print(
        f"loss {ours[0]:.4f} to {ours[-1]:.4f} on two ranks here and under DDP: largest difference {largest:.1e} in "
        f"{len(ours)} steps"
    )

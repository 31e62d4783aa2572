# TensorBoard's own reader shows a resumed run as one curve: the steps after the resume come from the second file.
import sys
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

[folder] = sys.argv[1:]
events = EventAccumulator(folder)
events.Reload()
points = lambda tag: [(event.step, event.value) for event in events.Scalars(tag)]

assert sorted(events.Tags()["scalars"]) == ["train/loss", "train/lr", "validation/loss"], events.Tags()
loss = points("train/loss")
assert loss == [(step, (8 if step <= 3 else 7) - step / 4) for step in range(1, 7)], loss
lr = points("train/lr")
assert lr == [(step, step / 1024) for step in range(1, 7)], lr
assert points("validation/loss") == [(10**10, 2.5)], points("validation/loss")
assert events.file_version == 2.0, events.file_version
print(f"TensorBoard reads {len(loss)} steps of a resumed run")

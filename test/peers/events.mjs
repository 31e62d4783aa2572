// A run's event files, broken off after step 5 and resumed from step 3.
import { EventFile } from "#neobert/train/output/events";

const [, folder] = process.argv.slice(2);
const broken = new EventFile(folder);
for (let step = 1; step <= 5; step++) broken.scalars(step, { "train/loss": 8 - step / 4, "train/lr": step / 1024 });
broken.close();
const resumed = new EventFile(folder, { resumeStep: 3 });
for (let step = 4; step <= 6; step++) resumed.scalars(step, { "train/loss": 7 - step / 4, "train/lr": step / 1024 });
resumed.scalars(1e10, { "validation/loss": 2.5 });
resumed.close();

// Fill-mask: what a masked language model expects at a gap.
//   node examples/fill-mask.mjs [MODEL] ["A TEXT WITH [MASK]" ...]   (a model's folder or its name on the Hub; a run's folder,
//   such as out/quickstart/phase-2 after `npm start`)
import { FillMask } from "neobert";

const [model = "google-bert/bert-base-uncased", ...given] = process.argv.slice(2);
const fillMask = await FillMask.load(model);
const texts = [
  "the capital of france is [MASK].",
  "we must reduce the [MASK] deficit.",
  "the congress of the united [MASK] has passed the [MASK].",
];
// Each model has its own name for the gap.
const asked = (given.length > 0 ? given : texts).map((text) => text.replaceAll("[MASK]", fillMask.maskToken));

for (const [i, masks] of (await fillMask.fill(asked, { topK: 4 })).entries()) {
  console.log(asked[i]);
  for (const choices of masks) {
    console.log(`  ${choices.map(({ token, score }) => `${token} ${(100 * score).toFixed(1)} %`).join("   ")}`);
  }
}
await fillMask.dispose();

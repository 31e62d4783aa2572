// The README.md of a fine-tuned classifier: what it tells apart, what it was made of, how to use it.

import { loadedByPython } from "../../export/python.js";
import type { Run } from "../loop/run.js";
import type { FineTuning } from "./fine-tuning.js";

/** Markdown with the metadata block that the Hugging Face Hub reads. */
export function classifierCard(
  { model, record, state }: Run,
  { config, problem, train, validation }: Omit<FineTuning, "score">,
): string {
  const { modelType, title } = model.architecture;
  const { type } = problem;
  const isSpans = type === "spans";
  const tag = isSpans ? "question-answering" : type === "tokens" ? "token-classification" : "text-classification";
  const kind = {
    single: "One label a text",
    multi: "Any number of labels a text",
    regression: "A number a text",
    tokens: "A label a word",
    spans: "The words of a context that answer a question",
  }[type];
  const { optimizer, batchSize, seed } = config;
  const isPair = typeof train.inputs[0] !== "string" && type !== "tokens" && !isSpans;
  const listed = problem.labels.slice(0, 50).join(", ");
  return `---
library_name: neobert
pipeline_tag: ${tag}
tags: [${modelType}, ${tag}]
---

# ${title}, fine-tuned

${kind}${isPair ? " pair" : ""}: ${listed}${problem.labels.length > 50 ? " and others" : ""}. Fine-tuned from ${config.model.from}.

| | |
|---|---|
| steps | ${state?.step ?? 0} of at most ${config.steps} |
| texts | ${train.inputs.length} to learn from, ${validation?.inputs.length ?? 0} held out |
| batch, learning rate, weight decay | ${batchSize}, ${optimizer.lr}, ${optimizer.weightDecay} |
| seed | ${seed} |
| computed in | ${record.dtype}, libtorch ${record.libtorch}, neobert ${record.neobert} |

\`\`\`sh
${isSpans ? 'npx neobert answer FOLDER "a question" --context FILE' : `npx neobert classify FOLDER "some text"${isPair ? ' --pair "another text"' : ""}`}
\`\`\`

${loadedByPython(model.architecture, model.head)}
`;
}

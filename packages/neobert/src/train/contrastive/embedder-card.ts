// The README.md of a contrastively fine-tuned model. Only what the run itself knows.

import { loadedByPython } from "../../export/python.js";
import type { Run } from "../loop/run.js";
import type { ContrastiveConfig } from "./contrastive-config.js";

/** Markdown with the metadata block that the Hugging Face Hub reads. */
export function contrastiveCard(config: ContrastiveConfig, { model, record, state }: Run): string {
  const { num_hidden_layers, hidden_size } = model.config;
  const { modelType, title, paper } = model.architecture;
  const { optimizer, schedule, data, maxLength, pooling, temperature, textsPerStep, steps, dimensions } = config;
  const instructions = data.train.filter(({ instruction }) => instruction);
  return `---
library_name: sentence-transformers
pipeline_tag: sentence-similarity
tags: [${modelType}, sentence-transformers, sentence-similarity, feature-extraction]
---

# ${title}, ${num_hidden_layers} layers x ${hidden_size}, for embeddings

A ${title} encoder (${paper}), fine-tuned contrastively from ${config.model.from}.

| | |
|---|---|
| steps | ${state?.step ?? 0} of ${steps}, ${textsPerStep} texts each |
| tokens seen | ${(state?.tokensSeen ?? 0).toLocaleString("en-US")} |
| data sets | ${data.train.map(({ name }) => name).join(", ")}; one a step, drawn with p ~ rows^${data.alpha} |
| loss | InfoNCE on cosine, temperature ${temperature}${dimensions.length > 0 ? `, Matryoshka dimensions ${dimensions.join(", ")}` : ""} |
| vectors | ${pooling === "mean" ? "mean over the tokens without the prompt's" : "the first token's"}, texts of up to ${maxLength} tokens |
| optimizer | ${optimizer.name}, learning rate ${optimizer.lr}, weight decay ${optimizer.weightDecay} |
| schedule | ${schedule.name}, ${schedule.warmupSteps} warm-up steps |
| computed in | ${record.dtype}, libtorch ${record.libtorch}, neobert ${record.neobert} |

\`\`\`ts
import { Encoder } from "neobert";

const encoder = await Encoder.load("FOLDER");
const vectors = await encoder.encode(["a text", "another"]);
\`\`\`

${loadedByPython(model.architecture, model.head)}${"remoteCode" in model.architecture.python ? "" : '\nFor vectors: `SentenceTransformer("FOLDER").encode(["a text", "another"])`.'}
${instructions.length > 0 ? `\nPrompts by name:\n\n${instructions.map(({ name, instruction }) => `- ${name}: \`${instruction}\``).join("\n")}\n` : ""}`;
}

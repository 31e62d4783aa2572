// The README.md of a saved model: what it is, how it was trained, how to use it. Only what the run itself knows.

import { loadedByPython } from "../../export/python.js";
import type { Run } from "../loop/run.js";
import type { RunConfig } from "../pretrain/pretrain-config.js";

/** Markdown with the metadata block that the Hugging Face Hub reads. */
export function modelCard({ config, model, record, state }: Omit<Run, "config"> & { config: RunConfig }): string {
  const { num_hidden_layers, hidden_size, num_attention_heads, vocab_size } = model.config;
  const { modelType, title, paper } = model.architecture;
  const parameters = model.specs.reduce((sum, { shape }) => sum + shape.reduce((a, b) => a * b, 1), 0);
  const { optimizer, schedule, masking, maxLength, tokensPerStep, steps } = config;
  return `---
library_name: neobert
pipeline_tag: fill-mask
tags: [${modelType}, fill-mask]
---

# ${title}, ${num_hidden_layers} layers x ${hidden_size}

A ${title} encoder (${paper}) of ${parameters.toLocaleString("en-US")} parameters: ${num_hidden_layers} layers, hidden
size ${hidden_size}, ${num_attention_heads} heads, ${vocab_size.toLocaleString("en-US")} tokens. Masked-language-model pretraining${
    config.model.from === undefined ? "" : `, continued from ${config.model.from}`
  }.

| | |
|---|---|
| steps | ${state?.step ?? 0} of ${steps} |
| tokens seen | ${(state?.tokensSeen ?? 0).toLocaleString("en-US")} |
| tokens a step, longest piece | ${tokensPerStep}, ${maxLength} |
| masking | ${100 * masking.rate} % of the tokens, ${100 * masking.maskShare} % of them as [MASK] |
| optimizer | ${optimizer.name}, learning rate ${optimizer.lr}, betas ${optimizer.betas.join(" and ")}, weight decay ${optimizer.weightDecay} |
| schedule | ${schedule.name}, ${schedule.warmupSteps} warm-up steps |
| computed in | ${record.dtype}, libtorch ${record.libtorch}, neobert ${record.neobert} |

\`\`\`sh
npx neobert fill-mask FOLDER "The capital of France is [MASK]."
\`\`\`

${loadedByPython(model.architecture, model.head)}
`;
}

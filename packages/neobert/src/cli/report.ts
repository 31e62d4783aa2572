// `neobert report RUN...`: what runs and evaluations have left behind, as one HTML page.

import { Command } from "commander";

export function reportCommand(): Command {
  return new Command("report")
    .description(
      "Writes one HTML page that needs no network: curves of training runs, MTEB, GLUE, pseudo-perplexity, ablations, and\n" +
        "what they were made with. Published scores stand beside one's own, marked. Several runs are laid over one another.",
    )
    .argument("<runs...>", "folders that pretrain, finetune, evaluate or the ablation and comparison scripts wrote")
    .option("--out <file>", "page to write", "report.html")
    .option("--title <text>", "the page's heading", "Report")
    .action(async (runs: string[], { out, title }: { out: string; title: string }) => {
      const { writeReport } = await import("../report/index.js"); // what draws takes longest to load
      writeReport(runs, out, { title });
      console.log(out);
    });
}

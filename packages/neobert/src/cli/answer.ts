// `neobert answer MODEL QUESTION --context FILE`: the words of a text that answer a question.

import { existsSync, readFileSync } from "node:fs";
import { Command } from "commander";
import { QuestionAnswerer } from "../encoder/question-answerer.js";
import { addModelOptions, loadOptions, type ModelFlags } from "./model-options.js";
import { given, positive, wholeNumber } from "./option-values.js";

interface AnswerFlags extends ModelFlags {
  context: string;
  topK: number;
  maxAnswerTokens?: number;
  stride?: number;
  allowNoAnswer?: boolean;
  json?: boolean;
}

export function answerCommand(): Command {
  const command = new Command("answer")
    .description("Shows the words of a text that answer a question.")
    .argument("<model>", "model folder, run folder, or name on the Hub")
    .argument("<question>", "the question")
    .requiredOption("--context <text>", "where the answer is: a file, - for standard input, or the text itself")
    .option("--top-k <n>", "answers to show", positive, 1)
    .option("--max-answer-tokens <n>", "tokens of the longest answer (default: 15)", positive)
    .option("--stride <n>", "tokens that neighbouring windows of a long text share (default: 128)", wholeNumber)
    .option("--allow-no-answer", "count it among the answers that the text has none")
    .option("--json", "print JSON");
  return addModelOptions(command).action(run);
}

async function run(model: string, question: string, flags: AnswerFlags): Promise<void> {
  const context = contextOf(flags.context);
  await using answerer = await QuestionAnswerer.load(model, loadOptions(flags));
  const { topK, maxAnswerTokens, stride, maxTokens } = flags;
  const options = given({ topK, maxAnswerTokens, stride, maxTokens, handleImpossibleAnswer: flags.allowNoAnswer });
  const answers = await answerer.answer(question, context, options);
  if (flags.json) {
    console.log(JSON.stringify(answers, null, 2));
    return;
  }
  for (const { score, start, end, text } of answers) {
    const place = text === "" ? "(no answer)" : `${text}  [${start}, ${end})`;
    console.log(`${(100 * score).toFixed(1).padStart(5)} %  ${place}`);
  }
}

function contextOf(given: string): string {
  if (given === "-") return readFileSync(0, "utf8");
  return existsSync(given) ? readFileSync(given, "utf8") : given;
}

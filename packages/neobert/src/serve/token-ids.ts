// Lists of token ids in place of texts. They are the model's own and reach it as they are; or those of OpenAI's cl100k_base,
// which LangChain sends unless told otherwise: those become texts again, by a library that is loaded with the first of them.

import type { Tiktoken } from "js-tiktoken/lite";
import type { LoadedModel } from "../encoder/loaded-model.js";
import { RequestError } from "./request-error.js";
import type { HandlerSettings } from "./serve-options.js";

/** Ids of cl100k_base are below; some between are nobody's. */
const CL100K_IDS = 100_277;
const WAY = "Send texts. LangChain does with check_embedding_ctx_length=False.";

let cl100k: Promise<Tiktoken> | undefined;

/** Loads what cl100k_base is decoded with. Rejects where js-tiktoken is not installed. */
export function loadCl100k(): Promise<Tiktoken> {
  const modules = [import("js-tiktoken/lite"), import("js-tiktoken/ranks/cl100k_base")] as const;
  cl100k ??= Promise.all(modules).then(
    ([{ Tiktoken }, { default: ranks }]) => new Tiktoken(ranks),
    (cause) => {
      cl100k = undefined;
      const way = "Run `npm install js-tiktoken`, or leave token ids to be the model's own.";
      throw new Error(`serve: expected js-tiktoken for token ids of cl100k, got none\n${way}`, { cause });
    },
  );
  return cl100k;
}

/** A list of ids as what the model is given. Throws where it is not to be taken, or has ids that there are not. */
export async function inputOfIds(
  field: string,
  ids: readonly number[],
  { tokenizer, config }: LoadedModel,
  { tokenIds }: HandlerSettings,
): Promise<string | { ids: readonly number[] }> {
  const refuse = (expected: string, got: string) =>
    new RequestError("invalid", `\`${field}\`: expected ${expected}, got ${got}\n${WAY}`, { param: field });
  if (tokenIds === "refuse") throw refuse("texts", "a list of token ids");
  const most = tokenIds === "own" ? Math.min(tokenizer.maxId, config.vocab_size - 1) : CL100K_IDS - 1;
  const foreign = ids.find((id) => id > most);
  if (foreign !== undefined) {
    const whose = tokenIds === "own" ? "this model's" : "cl100k_base's";
    throw refuse(`texts or ${whose} token ids`, `token id ${foreign} of ${most} at most`);
  }
  if (tokenIds === "own") return { ids };
  return (await loadCl100k()).decode([...ids]);
}

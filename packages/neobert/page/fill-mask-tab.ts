// Masks of a text filled: the likeliest tokens of each, one press puts one in place, and the rest is guessed anew.

import { bar, choice, el, field, plural, short } from "./dom.js";
import { type Info, Job, modelsFor, post } from "./server-calls.js";

interface Filling {
  score: number;
  token: string;
}

export function fillMaskTab(host: HTMLElement, info: Info): void {
  const models = modelsFor(info, "fill_mask");
  const model = choice(models.map(({ model_id }) => [model_id, model_id]));
  const mask = () => models.find(({ model_id }) => model_id === model.value)!.model_type.fill_mask!.mask_token;
  const count = el("input", { type: "number", min: 1, max: 100, value: 8 });
  const text = el("textarea", { rows: 3, spellcheck: "false" });
  const fillings = el("div", { class: "fillings" });
  const before: string[] = [];
  text.value = `The ${mask()} of the house is ${mask()}.`;

  const job = new Job("Fill", async ({ signal }) => {
    if (!text.value.includes(mask())) throw new Error(`Write ${mask()} where a word is to be guessed.`);
    const body = { model: model.value, inputs: text.value, top_k: Number(count.value) };
    const found = await post<Filling[][]>("fill-mask", body, signal);
    fillings.replaceChildren(...found.map((choices, i) => columnOf(choices, i)));
    return `${plural(found.length, "mask")}. Press a word to put it in place.`;
  });
  const put = (changed: string) => {
    text.value = changed;
    undo.disabled = before.length === 0;
    if (changed.includes(mask())) job.restart();
    else {
      fillings.replaceChildren();
      job.note.replaceChildren(el("p", { role: "status" }, "All masks are filled."));
      text.focus();
    }
  };
  const columnOf = (choices: Filling[], at: number) => {
    const buttons = choices.map(({ token, score }) => {
      const place = () => {
        before.push(text.value);
        put(filled(text.value, mask(), at, token));
      };
      return el(
        "button",
        { type: "button", click: place },
        el("span", {}, token),
        bar(score),
        el("small", {}, `${short(100 * score)} %`),
      );
    });
    return el("fieldset", {}, el("legend", {}, `Mask ${at + 1}`), ...buttons);
  };
  const insert = () => {
    text.setRangeText(mask(), text.selectionStart, text.selectionEnd, "end");
    text.focus();
  };
  const insertButton = el("button", { type: "button", click: insert }, `Insert ${mask()}`);
  const undo = el("button", { type: "button", disabled: true, click: () => put(before.pop()!) }, "Undo");
  model.addEventListener("change", () => (insertButton.textContent = `Insert ${mask()}`));
  host.append(
    field("Text with masks", text),
    el("div", { class: "row" }, field("Model", model), field("Words", count), insertButton, undo, job.button, job.note),
    fillings,
  );
}

/** The text with its mask number `at` filled; a piece of a word goes to the word before it. */
export function filled(text: string, mask: string, at: number, token: string): string {
  const parts = text.split(mask);
  const [head, tail] = [parts.slice(0, at + 1).join(mask), parts.slice(at + 1).join(mask)];
  return token.startsWith("##")
    ? head.trimEnd() + token.slice(2) + tail
    : head + token.replace(/^[▁Ġ]/, "").trim() + tail;
}

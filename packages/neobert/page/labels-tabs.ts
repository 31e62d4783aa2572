// What classifiers say of the pasted texts: entities marked where they stand, and the score of each class.

import { schemeObservable10 } from "d3";
import { bar, choice, el, field, plural } from "./dom.js";
import { type Info, inParts, Job, modelsFor, post, type Run, type Task } from "./server-calls.js";
import { NO_TEXTS, type TextsPanel } from "./texts-panel.js";

const SHOWN = 200;

interface Entity {
  label: string;
  score: number;
  start: number;
  end: number;
}

export function entitiesTab(host: HTMLElement, info: Info, panel: TextsPanel): void {
  const least = el("input", {
    type: "range",
    min: 0,
    max: 1,
    step: 0.05,
    value: 0.5,
    "aria-label": "Least score",
    input: () => render(),
  });
  const legend = el("div", { class: "row keys" });
  const list = el("ol", { class: "texts" });
  let [texts, found]: [string[], Entity[][]] = [[], []];
  const render = () => {
    const shown = found.map((entities) => entities.filter(({ score }) => score >= Number(least.value)));
    const counts = new Map<string, number>();
    for (const { label } of shown.flat()) counts.set(label, (counts.get(label) ?? 0) + 1);
    const labels = [...new Set(found.flat().map(({ label }) => label))].sort();
    const hue = (label: string) => schemeObservable10[labels.indexOf(label) % schemeObservable10.length]!;
    legend.replaceChildren(
      ...labels.map((label) =>
        el("span", {}, swatch(hue(label)), `${label} `, el("small", {}, `${counts.get(label) ?? 0}`)),
      ),
    );
    list.replaceChildren(
      ...shown.slice(0, SHOWN).map((entities, i) => el("li", {}, ...marked(texts[i]!, entities, hue))),
    );
  };
  askAll(
    "Find entities",
    host,
    info,
    panel,
    "tagger",
    [el("label", { class: "field" }, el("span", {}, "Least score"), least)],
    async (model, all, run) => {
      const ask = (inputs: readonly string[], signal: AbortSignal) =>
        post<Entity[][]>("tag", { model, inputs }, signal);
      found = await inParts(all, info, run, ask);
      texts = all;
      render();
      return `${plural(found.flat().length, "find")} in ${plural(all.length, "text")}.`;
    },
  );
  host.append(legend, list);
}

function marked(text: string, entities: readonly Entity[], hue: (label: string) => string): (Node | string)[] {
  const parts: (Node | string)[] = [];
  let at = 0;
  for (const { label, score, start, end } of entities) {
    if (start < at) continue;
    const mark = el("mark", { title: `${label} ${score.toFixed(3)}` }, text.slice(start, end), el("small", {}, label));
    mark.style.setProperty("--hue", hue(label));
    parts.push(text.slice(at, start), mark);
    at = end;
  }
  return [...parts, text.slice(at)];
}

function swatch(colour: string): HTMLElement {
  const element = el("span", { class: "swatch" });
  element.style.background = colour;
  return element;
}

export function classesTab(host: HTMLElement, info: Info, panel: TextsPanel): void {
  const summary = el("div", { class: "row keys" });
  const list = el("ol", { class: "texts" });
  askAll("Classify", host, info, panel, "classifier", [], async (model, texts, run) => {
    const { id2label } = modelsFor(info, "classifier").find(({ model_id }) => model_id === model)!.model_type
      .classifier!;
    const ask = async (input: readonly string[], signal: AbortSignal) =>
      (await post<{ data: { label: string; probs: number[] }[] }>("classify", { model, input, truncate: true }, signal))
        .data;
    const found = await inParts(texts, info, run, ask);
    const counts = Object.values(id2label).map(
      (label) => [label, found.filter((one) => one.label === label).length] as const,
    );
    summary.replaceChildren(
      ...counts.map(([label, count]) => el("span", {}, `${label} `, el("small", {}, `${count}`))),
    );
    const scores = ({ label, probs }: (typeof found)[number]) =>
      probs
        .map((score, i) => ({ score, name: id2label[i] ?? `${i}` }))
        .sort((a, b) => b.score - a.score)
        .slice(0, 5)
        .map(({ score, name }) =>
          el("span", { class: name === label ? "score best" : "score" }, name, bar(score), score.toFixed(3)),
        );
    list.replaceChildren(
      ...found
        .slice(0, SHOWN)
        .map((one, i) => el("li", {}, el("span", {}, texts[i]!), el("div", { class: "scores" }, ...scores(one)))),
    );
    return `${plural(found.length, "text")} classified.`;
  });
  host.append(summary, list);
}

/** The row of a tab that asks one model about all texts. */
function askAll(
  label: string,
  host: HTMLElement,
  info: Info,
  panel: TextsPanel,
  task: Task,
  extras: HTMLElement[],
  work: (model: string, texts: string[], run: Run) => Promise<string>,
): void {
  const model = choice(modelsFor(info, task).map(({ model_id }) => [model_id, model_id]));
  const job = new Job(label, async (run) => {
    const { texts } = panel.set;
    if (texts.length === 0) throw new Error(NO_TEXTS);
    const said = await work(model.value, texts, run);
    return texts.length > SHOWN ? `${said} The first ${SHOWN} are shown.` : said;
  });
  host.append(el("div", { class: "row" }, field("Model", model), ...extras, job.button, job.note));
}

// A query over the pasted texts: ranked by their vectors, by a cross-encoder, or by the vectors first and the cross-encoder after.

import { bar, choice, el, field, plural, tick, whole } from "./dom.js";
import { type Info, inParts, Job, modelsFor, post, type Run } from "./server-calls.js";
import { cosines, embedPart, showPromptsOf, type TextsPanel } from "./texts-panel.js";

interface Hit {
  index: number;
  score: number;
  /** By the vectors, from 1. */
  firstRank?: number;
}

const SHOWN = 20;

export function searchTab(host: HTMLElement, info: Info, panel: TextsPanel): void {
  const hasEncoder = modelsFor(info, "embedding").length > 0;
  const rerankers = modelsFor(info, "reranker");
  const query = el("input", { type: "search", required: true, placeholder: "What are you looking for?" });
  const prompt = choice([]);
  const rerank = el("input", { type: "checkbox", checked: rerankers.length > 0, disabled: !hasEncoder });
  const reranker = choice(rerankers.map(({ model_id }) => [model_id, model_id]));
  const most = el("input", { type: "number", min: 1, max: 2000, value: 50 });
  const list = el("ol", { class: "hits" });

  const byVectors = async (run: Run): Promise<{ texts: string[]; hits: Hit[] }> => {
    const { embedded } = panel;
    if (!embedded) throw new Error("There are no vectors yet: press Embed beside the texts first.");
    const wishes = { normalized: true, prompt: prompt.value };
    const [embeddedQuery] = await embedPart([query.value], embedded.model, wishes, run.signal);
    const hits = Array.from(cosines(embedded, embeddedQuery!.vector), (score, index) => ({ index, score }));
    return { texts: embedded.texts, hits: hits.sort((a, b) => b.score - a.score) };
  };
  const byPairs = async (texts: string[], first: Hit[], run: Run): Promise<Hit[]> => {
    const documents = first.map(({ index }) => texts[index]!);
    const ask = async (part: readonly string[], signal: AbortSignal) => {
      const body = { model: reranker.value, query: query.value, documents: part, truncate: true };
      const { results } = await post<{ results: { index: number; relevance_score: number }[] }>(
        "v1/rerank",
        body,
        signal,
      );
      return results.sort((a, b) => a.index - b.index).map(({ relevance_score }) => relevance_score);
    };
    const scores = await inParts(documents, info, run, ask);
    const hits = first.map(({ index }, i) => ({ index, score: scores[i]!, ...(hasEncoder && { firstRank: i + 1 }) }));
    return hits.sort((a, b) => b.score - a.score);
  };
  const job = new Job("Search", async (run) => {
    const start = performance.now();
    if (!query.reportValidity()) throw new Error("Type what to look for.");
    const all = panel.set.texts.map((_, index) => ({ index, score: 0 }));
    const { texts, hits } = hasEncoder ? await byVectors(run) : { texts: panel.set.texts, hits: all };
    const ranked = rerank.checked
      ? await byPairs(texts, hasEncoder ? hits.slice(0, Number(most.value)) : hits, run)
      : hits;
    show(texts, ranked.slice(0, SHOWN));
    return `${plural(texts.length, "text")} in ${whole(performance.now() - start)} ms.`;
  });
  const show = (texts: string[], hits: Hit[]) => {
    const [highest, lowest] = [hits[0]?.score ?? 1, Math.min(0, ...hits.map(({ score }) => score))];
    const items = hits.map(({ index, score, firstRank }, i) => {
      const moved = firstRank && firstRank !== i + 1 ? [el("small", {}, `was ${firstRank}`)] : [];
      const value = el(
        "span",
        { class: "score" },
        score.toFixed(3),
        bar((score - lowest) / (highest - lowest || 1)),
        ...moved,
      );
      return el("li", {}, value, el("span", {}, texts[index]!));
    });
    list.replaceChildren(...items);
  };
  const form = el(
    "form",
    {
      class: "row",
      submit: (event: SubmitEvent) => {
        event.preventDefault();
        job.run();
      },
    },
    field("Query", query),
    job.button,
    job.note,
  );
  const extras = el("div", { class: "row" });
  extras.append(field("Prompt of the query", prompt));
  const showPrompts = () => showPromptsOf(prompt, panel.embedded?.model, "query");
  panel.addEventListener("vectors", showPrompts);
  showPrompts();
  if (rerankers.length > 0)
    extras.append(tick("Rerank the best", rerank), field("How many", most), field("Cross-encoder", reranker));
  form.querySelector(".field")!.classList.add("wide");
  host.append(form, extras, list);
}

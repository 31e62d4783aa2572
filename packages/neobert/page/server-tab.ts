// The server at work: /metrics read each second while the tab is seen, as lines of the last two minutes; and the models with
// their limits.

import { el, short, table, whole } from "./dom.js";
import { parseMetrics, quantile, type Sample } from "./read-metrics.js";
import { getText, type Info } from "./server-calls.js";

const SAMPLES = 120;
const POLL_MS = 1000;
/** Samples over which rates and latencies are taken. */
const WINDOW = 5;

export function serverTab(host: HTMLElement, info: Info): () => void {
  const rate = (name: string) => (before: Sample, after: Sample) =>
    ((after.values.get(name) ?? 0) - (before.values.get(name) ?? 0)) / (after.seconds - before.seconds);
  const gauge =
    (name: string, own = 0) =>
    (_: Sample, { values }: Sample) =>
      Math.max(0, (values.get(name) ?? 0) - own);
  const ms = (share: number) => (before: Sample, after: Sample) => 1000 * quantile(before, after, share);
  // This page's own look at /metrics is one of the requests.
  const cards = [
    card("Requests in flight", "", gauge("neobert_requests_in_flight", 1)),
    card("Tokens waiting", "", gauge("neobert_waiting_tokens")),
    card("Texts per second", "", rate("neobert_inputs_total")),
    card("Tokens per second", "", rate("neobert_tokens_total")),
    card("Latency, median", " ms", ms(0.5)),
    card("Latency, 95 %", " ms", ms(0.95)),
  ];
  const samples: Sample[] = [];
  const failures = el("p", { class: "hint" });
  const trouble = el("p", { class: "error", role: "alert" });
  const poll = async () => {
    if (document.hidden || host.hidden) return;
    try {
      samples.push(parseMetrics(await getText("metrics"), performance.now() / 1000));
      trouble.textContent = "";
    } catch (error) {
      trouble.textContent = (error as Error).message;
      return;
    }
    samples.splice(0, samples.length - SAMPLES - WINDOW);
    for (const { show } of cards) show(samples);
    const failed = [...samples.at(-1)!.values].filter(([name]) => name.startsWith("te_request_failure"));
    const kinds = failed.map(([name, count]) => `${/err="(\w+)"/.exec(name)?.[1]} ${whole(count)}`).join(", ");
    failures.textContent = `Since the start: ${whole(samples.at(-1)!.values.get("neobert_inputs_total") ?? 0)} texts; refused or failed: ${kinds || "none"}.`;
  };
  setInterval(poll, POLL_MS);
  const rows = info.models.map(({ model_id, model_type, model_dtype, max_input_length, model_sha }) => [
    model_id,
    Object.keys(model_type)
      .map((task) => task.replace("_", " "))
      .join(", "),
    model_type.embedding ? `${model_type.embedding.dimension} (${model_type.embedding.pooling})` : "–",
    whole(max_input_length),
    model_dtype ?? "–",
    model_sha?.slice(0, 12) ?? "–",
  ]);
  const limits = `${whole(info.max_client_batch_size)} texts and ${short(info.payload_limit / 1e6)} MB a request, ${whole(info.max_concurrent_requests)} requests at once.`;
  host.append(
    el("div", { class: "cards" }, ...cards.map(({ element }) => element)),
    failures,
    trouble,
    el("h3", {}, "Models"),
    table("Models", ["Name", "Does", "Dimensions", "Most tokens", "dtype", "Files"], rows),
    el(
      "p",
      { class: "hint" },
      `Limits: ${limits} `,
      el("a", { href: "docs" }, "The routes"),
      "; ",
      el("a", { href: "metrics" }, "the metrics"),
      ".",
    ),
  );
  return poll;
}

/** A number with its line of the last minutes. */
function card(title: string, unit: string, value: (before: Sample, after: Sample) => number) {
  const number = el("output", {}, "–");
  const most = el("small");
  const svg = document.createElementNS("http://www.w3.org/2000/svg", "svg");
  const line = document.createElementNS("http://www.w3.org/2000/svg", "path");
  svg.setAttribute("viewBox", `0 0 ${SAMPLES} 30`);
  svg.setAttribute("preserveAspectRatio", "none");
  svg.setAttribute("aria-hidden", "true");
  svg.append(line);
  const show = (samples: readonly Sample[]) => {
    if (samples.length < 2) return;
    const values = samples.slice(1).map((after, i) => value(samples[Math.max(0, i + 1 - WINDOW)]!, after));
    const highest = Math.max(0, ...values.filter(Number.isFinite));
    number.textContent = Number.isFinite(values.at(-1)) ? `${short(values.at(-1)!)}${unit}` : "–";
    most.textContent = `most ${short(highest)}`;
    const start = SAMPLES - values.length;
    const points = values.map((one, i) =>
      Number.isFinite(one) ? `${start + i + 1} ${29 - (27 * one) / (highest || 1)}` : "",
    );
    line.setAttribute(
      "d",
      points.map((point, i) => (point === "" ? "" : `${points[i - 1] ? "L" : "M"}${point}`)).join(""),
    );
  };
  const element = el("section", { class: "card", "aria-label": title }, el("h3", {}, title), number, most);
  element.append(svg);
  return { element, show };
}

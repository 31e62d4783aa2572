// The vectors as a table: what went into each and how it begins; and all of them as a Parquet file.

import { el, plural, table, whole } from "./dom.js";
import { Job } from "./server-calls.js";
import type { Embedded } from "./texts-panel.js";

const PAGE_ROWS = 100;
const FIRST_VALUES = 4;

export function showVectors(host: HTMLElement, embedded: Embedded): void {
  const { texts, model, dimension, norms, data, report, groups } = embedded;
  const cut = report.filter(({ cut }) => cut > 0).length;
  const job = new Job("Download Parquet", async ({ signal }) => {
    const name = `${model.model_id.split("/").at(-1)}.parquet`;
    const bytes = await parquetOf(embedded, signal);
    const url = URL.createObjectURL(new Blob([bytes], { type: "application/vnd.apache.parquet" }));
    el("a", { href: url, download: name }).click();
    setTimeout(() => URL.revokeObjectURL(url), 10_000);
    return `${name}, ${whole(bytes.byteLength / 1024)} KiB`;
  });
  job.button.classList.remove("primary");
  const facts =
    `${plural(texts.length, "vector")} of ${whole(dimension)} numbers by ${model.model_id}; ` +
    (cut === 0 ? "no text was cut." : `${plural(cut, "text")} cut at ${whole(model.max_input_length)} tokens.`);
  const values = Array.from({ length: FIRST_VALUES }, (_, i) => `v${i}`);
  const columns = ["#", "Text", ...(groups ? [groups.name] : []), "Tokens", "Cut", "Norm", ...values];
  const row = (i: number) => {
    const { tokens, cut } = report[i]!;
    return [
      `${i + 1}`,
      el("span", { class: "text", title: texts[i]!.slice(0, 2000) }, texts[i]!.slice(0, 400)),
      ...(groups ? [groups.values[i]!] : []),
      whole(tokens),
      cut > 0 ? el("b", { class: "cut" }, whole(cut)) : "0",
      norms[i]!.toFixed(3),
      ...values.map((_, k) => data[i * dimension + k]?.toFixed(3) ?? ""),
    ];
  };
  let shown = Math.min(PAGE_ROWS, texts.length);
  const rows = (from: number, to: number) => Array.from({ length: to - from }, (_, i) => row(from + i));
  const list = table("Vectors", columns, rows(0, shown));
  list.classList.add("tall");
  const more = el("button", {
    type: "button",
    hidden: shown === texts.length,
    click: () => {
      const to = Math.min(shown + PAGE_ROWS, texts.length);
      const further = table("", columns, rows(shown, to)).querySelectorAll("tbody tr");
      list.querySelector("tbody")!.append(...further);
      shown = to;
      more.hidden = shown === texts.length;
      more.textContent = label();
    },
  });
  const label = () => `Show ${whole(Math.min(PAGE_ROWS, texts.length - shown))} more of ${whole(texts.length - shown)}`;
  more.textContent = label();
  host.replaceChildren(el("div", { class: "row" }, el("p", {}, facts), job.button, job.note), list, more);
}

/** Made by a worker, so that the page goes on. */
function parquetOf({ texts, source, data, dimension }: Embedded, signal: AbortSignal): Promise<ArrayBuffer> {
  const columns = (source?.table.columns ?? []).flatMap((name, column) => {
    const isFirst = source!.table.columns.indexOf(name) === column;
    const isOwn = column === source!.textColumn || ["", "text", "embedding"].includes(name) || !isFirst;
    return isOwn ? [] : [{ name, data: source!.rows.map((row) => source!.table.rows[row]![column] ?? "") }];
  });
  return workerAnswer("parquet-worker.js", { texts, columns, data, dimension }, signal);
}

/** The last answer of a worker to a message; others are told to `note`. */
export function workerAnswer<T>(
  file: string,
  message: object,
  signal: AbortSignal,
  note?: (part: never) => void,
): Promise<T> {
  const worker = new Worker(`page/${file}`, { type: "module" });
  return new Promise<T>((resolve, reject) => {
    signal.addEventListener("abort", () => reject(signal.reason));
    worker.onerror = ({ message }) => reject(new Error(message));
    worker.onmessage = ({ data }) => ("result" in data ? resolve(data.result) : note?.(data as never));
    worker.postMessage(message);
  }).finally(() => worker.terminate());
}

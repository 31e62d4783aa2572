// How alike texts are: a heat map of cosines, read by pointer or arrow keys, and the pairs that are most alike.

import { interpolateRgb } from "d3";
import { choice, context2d, drawn, el, field, styleColour, table, whole } from "./dom.js";
import { cosines, type Embedded } from "./texts-panel.js";

/** Texts of the map: beyond it cells are less than a few pixels. */
const MOST_TEXTS = 200;
const MOST_PAIRS = 15;
const MOST_CELL = 40;
const LABEL_CELL = 11;

export function showSimilarity(host: HTMLElement, embedded: Embedded): void {
  const count = Math.min(embedded.texts.length, MOST_TEXTS);
  const { dimension, data, groups } = embedded;
  const texts = embedded.texts.slice(0, count);
  const matrix = Array.from({ length: count }, (_, i) =>
    cosines({ ...embedded, texts }, data.subarray(i * dimension, (i + 1) * dimension)),
  );
  const pairs = matrix
    .flatMap((row, i) => Array.from(row.subarray(0, i), (score, j) => ({ i: j, j: i, score })))
    .sort((a, b) => b.score - a.score);
  const [most = 1, least = 0] = [pairs[0]?.score, pairs.at(-1)?.score];
  const orders: Record<string, () => number[]> = {
    given: () => [...matrix.keys()],
    alike: () => chain(matrix),
    groups: () => [...matrix.keys()].sort((a, b) => groups!.values[a]!.localeCompare(groups!.values[b]!) || a - b),
  };
  let order = orders.given!();
  let [row, column, width, cell, left] = [0, 0, 0, 1, 0];

  const canvas = el("canvas", {
    tabindex: 0,
    role: "application",
    "aria-label": `Heat map of ${count} texts; arrow keys move`,
  });
  const readout = el("p", { class: "readout", "aria-live": "polite" });
  const point = (nextRow: number, nextColumn: number) => {
    row = Math.max(0, Math.min(count - 1, nextRow));
    column = Math.max(0, Math.min(count - 1, nextColumn));
    const [a, b] = [order[row]!, order[column]!];
    readout.replaceChildren(
      el("b", {}, matrix[a]![b]!.toFixed(3)),
      el("span", {}, `${a + 1}. ${texts[a]}`),
      el("span", {}, `${b + 1}. ${texts[b]}`),
    );
    draw();
  };
  const draw = () => {
    if (width === 0) return;
    left = width / count >= LABEL_CELL ? Math.min(220, width * 0.3) : 0;
    cell = Math.min(MOST_CELL, (width - left) / count);
    const size = cell * count;
    const context = context2d(canvas, left + size, size);
    const colour = interpolateRgb(styleColour("cold"), styleColour("hot"));
    context.font = `${Math.min(12, 0.85 * cell)}px ${getComputedStyle(document.body).fontFamily}`;
    context.textBaseline = "middle";
    for (let y = 0; y < count; y++) {
      for (let x = 0; x < count; x++) {
        const share = (matrix[order[y]!]![order[x]!]! - least) / (most - least || 1);
        context.fillStyle = colour(Math.min(1, share));
        context.fillRect(left + x * cell, y * cell, cell + 0.5, cell + 0.5);
      }
      if (left === 0) continue;
      context.fillStyle = styleColour(y === row ? "ink" : "muted");
      context.fillText(fitted(context, `${order[y]! + 1} ${texts[order[y]!]!}`, left - 8), 0, (y + 0.5) * cell);
    }
    context.strokeStyle = styleColour("ink");
    context.lineWidth = 2;
    context.strokeRect(left + column * cell, row * cell, cell, cell);
  };
  canvas.addEventListener("pointermove", ({ offsetX, offsetY }) => {
    const [y, x] = [Math.floor(offsetY / cell), Math.floor((offsetX - left) / cell)];
    if (x >= 0 && (x !== column || y !== row)) point(y, x);
  });
  const moves: Record<string, [number, number]> = {
    ArrowUp: [-1, 0],
    ArrowDown: [1, 0],
    ArrowLeft: [0, -1],
    ArrowRight: [0, 1],
  };
  canvas.addEventListener("keydown", (event) => {
    const move = moves[event.key];
    if (!move) return;
    event.preventDefault();
    point(row + move[0], column + move[1]);
  });
  const select = choice(
    [["given", "as given"], ["alike", "alike together"], ...(groups ? [["groups", `by ${groups.name}`] as const] : [])],
    () => {
      order = orders[select.value]!();
      point(row, column);
    },
  );
  const ramp = el("span", { class: "ramp heat", "aria-hidden": "true" });
  const legend = el("span", { class: "legend" }, least.toFixed(2), ramp, most.toFixed(2));
  const left_out =
    embedded.texts.length > count
      ? [el("p", { class: "hint" }, `The first ${count} of ${whole(embedded.texts.length)} texts.`)]
      : [];
  const rows = pairs
    .slice(0, MOST_PAIRS)
    .map(({ i, j, score }) => [score.toFixed(3), `${i + 1}. ${texts[i]}`, `${j + 1}. ${texts[j]}`]);
  host.replaceChildren(
    el("div", { class: "row" }, field("Order", select), legend),
    ...left_out,
    readout,
    drawn(canvas, (wide) => {
      width = wide;
      draw();
    }),
    el("h3", {}, "Most alike"),
    table("Most alike", ["Cosine", "Text", "Text"], rows),
  );
  point(0, Math.min(1, count - 1));
}

/** From the first text to the one most like it, and so on through all. */
function chain(matrix: readonly Float32Array[]): number[] {
  const left = new Set(matrix.keys());
  const order: number[] = [];
  for (let at = 0; left.size > 0; ) {
    order.push(at);
    left.delete(at);
    const row = matrix[at]!;
    at = [...left].reduce((best, i) => (best < 0 || row[i]! > row[best]! ? i : best), -1);
  }
  return order;
}

function fitted(context: CanvasRenderingContext2D, text: string, width: number): string {
  const most = Math.floor(width / 5);
  let end = Math.min(text.length, most);
  while (end > 1 && context.measureText(`${text.slice(0, end)}…`).width > width) end--;
  return end === text.length ? text : `${text.slice(0, end)}…`;
}

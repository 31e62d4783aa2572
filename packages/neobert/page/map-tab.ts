// The vectors as points in two dimensions, to zoom, move and hover, coloured by a column. With the keyboard: arrows go from point to
// point, + and - zoom, 0 shows all.

import { type D3ZoomEvent, extent, select, zoom, zoomIdentity } from "d3";
import { choice, context2d, drawn, el, field, short, styleColour } from "./dom.js";
import { groupColours } from "./group-colours.js";
import type { Projection, Wish } from "./projection-worker.js";
import { Job } from "./server-calls.js";
import type { Embedded } from "./texts-panel.js";
import { workerAnswer } from "./vectors-tab.js";

const MARGIN = 24;
const REACH = 16;
/** Pixels of the page that stand above the map. */
const ABOVE = 335;

export function showMap(host: HTMLElement, embedded: Embedded): void {
  const method = choice(
    [
      ["pca", "PCA"],
      ["umap", "UMAP"],
    ],
    () => {
      for (const { parentElement } of [neighbours, minDist]) parentElement!.hidden = method.value === "pca";
      if (method.value === "pca") job.restart();
    },
  );
  const neighbours = el("input", { type: "number", min: 2, max: 200, value: 15 });
  const minDist = el("input", { type: "number", min: 0, max: 1, step: 0.05, value: 0.1 });
  const place = el("div");
  const job = new Job("Draw", async ({ signal, progress }) => {
    const { data, dimension, texts } = embedded;
    if (texts.length < 3) throw new Error(`A map needs three texts at least; there are ${texts.length}.`);
    const wish: Wish = {
      method: method.value as "pca" | "umap",
      data,
      dimension,
      neighbours: Number(neighbours.value),
      minDist: Number(minDist.value),
    };
    const made = await workerAnswer<Projection>(
      "projection-worker.js",
      wish,
      signal,
      ({ done, of }: { done: number; of: number }) => progress(done, of),
    );
    const axes = made.shares?.map((share) => `${short(100 * share)} %`).join(" and ");
    draw(place, embedded, made.points);
    return axes
      ? `The axes hold ${axes} of the variance.`
      : "Near points are alike; distances between groups say little.";
  });
  host.replaceChildren(
    el(
      "div",
      { class: "row" },
      field("Method", method),
      field("Neighbours", neighbours),
      field("Least distance", minDist),
      job.button,
      job.note,
    ),
    place,
  );
  for (const { parentElement } of [neighbours, minDist]) parentElement!.hidden = true;
  job.restart();
}

function draw(host: HTMLElement, embedded: Embedded, points: Float32Array): void {
  const { texts, groups } = embedded;
  const styled = () => groupColours(embedded, styleColour("accent"), styleColour("muted"));
  let colours = styled();
  const { legend, keyOf, ramp } = colours;
  const canvas = el("canvas", {
    tabindex: 0,
    role: "application",
    "aria-label": `Map of ${texts.length} texts; arrows go from point to point, plus and minus zoom, 0 shows all`,
  });
  const readout = el(
    "p",
    { class: "readout", "aria-live": "polite" },
    el("span", {}, "Point at a text, or focus the map and use the arrow keys."),
  );
  const find = el("input", { type: "search", placeholder: "words in a text", input: () => render() });
  let [transform, at, only] = [zoomIdentity, -1, ""];
  let [width, height] = [1, 1];
  const axis = (which: number) => {
    const [least = 0, most = 1] = extent(texts, (_, i) => points[2 * i + which]!);
    return { least, range: most - least || 1 };
  };
  const [xs, ys] = [axis(0), axis(1)];
  const placeOf = (i: number): [number, number] => {
    const x = MARGIN + ((points[2 * i]! - xs.least) / xs.range) * (width - 2 * MARGIN);
    const y = height - MARGIN - ((points[2 * i + 1]! - ys.least) / ys.range) * (height - 2 * MARGIN);
    return transform.apply([x, y]);
  };
  const isShown = (i: number) => only === "" || keyOf(i) === only;
  const render = () => {
    const context = context2d(canvas, width, height);
    const { of } = colours;
    const words = find.value.trim().toLowerCase();
    const radius = texts.length > 3000 ? 2 : texts.length > 500 ? 3 : 5;
    const dot = (i: number, size: number) => {
      const [x, y] = placeOf(i);
      if (size <= 2) return context.fillRect(x - size, y - size, 2 * size, 2 * size); // arcs of many thousands take long
      context.beginPath();
      context.arc(x, y, size, 0, 2 * Math.PI);
      context.fill();
    };
    texts.forEach((text, i) => {
      const isFound = words === "" || text.toLowerCase().includes(words);
      context.globalAlpha = isShown(i) && isFound ? 0.85 : 0.08;
      context.fillStyle = of(i);
      dot(i, words !== "" && isFound ? radius + 1 : radius);
    });
    context.globalAlpha = 1;
    if (at < 0) return;
    context.fillStyle = styleColour("ink");
    dot(at, radius + 4);
    context.fillStyle = of(at);
    dot(at, radius + 2);
  };
  const point = (i: number) => {
    if (i === at) return;
    at = i;
    const group = groups && i >= 0 ? [el("b", {}, groups.values[i]!)] : [];
    if (i >= 0) readout.replaceChildren(...group, el("span", {}, `${i + 1}. ${texts[i]}`));
    render();
  };
  /** The least by `cost` of points that are shown; -1 where none has a finite one. */
  const best = (cost: (x: number, y: number, i: number) => number) => {
    let [found, least] = [-1, Number.POSITIVE_INFINITY];
    texts.forEach((_, i) => {
      const value = isShown(i) ? cost(...placeOf(i), i) : Number.POSITIVE_INFINITY;
      if (value < least) [found, least] = [i, value];
    });
    return found;
  };
  const near = (px: number, py: number) =>
    best((x, y) => (Math.hypot(x - px, y - py) < REACH ? Math.hypot(x - px, y - py) : Number.POSITIVE_INFINITY));
  /** The nearest point within a quarter circle of a direction. */
  const next = (dx: number, dy: number) => {
    if (at < 0) return best((x, y) => Math.hypot(x - width / 2, y - height / 2));
    const [ox, oy] = placeOf(at);
    return best((x, y, i) => {
      const [along, across] = [(x - ox) * dx + (y - oy) * dy, Math.abs((x - ox) * dy) + Math.abs((y - oy) * dx)];
      return i !== at && along > 0 && across <= along ? along + 2 * across : Number.POSITIVE_INFINITY;
    });
  };
  const surface = select(canvas);
  const zooming = zoom<HTMLCanvasElement, unknown>()
    .scaleExtent([0.5, 200])
    .on("zoom", (event: D3ZoomEvent<HTMLCanvasElement, unknown>) => {
      transform = event.transform;
      render();
    });
  surface.call(zooming);
  const moves: Record<string, () => void> = {
    "+": () => surface.call(zooming.scaleBy, 1.5),
    "=": () => surface.call(zooming.scaleBy, 1.5),
    "-": () => surface.call(zooming.scaleBy, 1 / 1.5),
    "0": () => surface.call(zooming.transform, zoomIdentity),
    ArrowUp: () => go(0, -1),
    ArrowDown: () => go(0, 1),
    ArrowLeft: () => go(-1, 0),
    ArrowRight: () => go(1, 0),
  };
  const go = (dx: number, dy: number) => {
    const i = next(dx, dy);
    if (i < 0) return;
    point(i);
    const [x, y] = placeOf(i);
    if (x < 0 || y < 0 || x > width || y > height) {
      surface.call(zooming.translateBy, (width / 2 - x) / transform.k, (height / 2 - y) / transform.k);
    }
  };
  canvas.addEventListener("keydown", (event) => {
    const move = event.ctrlKey || event.metaKey ? undefined : moves[event.key];
    if (!move) return;
    event.preventDefault();
    move();
  });
  canvas.addEventListener("pointermove", ({ offsetX, offsetY }) => point(near(offsetX, offsetY)));
  const keys = legend.map(({ key, colour, count }) => {
    const swatch = el("span", { class: "swatch" });
    swatch.style.background = colour;
    const button: HTMLButtonElement = el(
      "button",
      {
        type: "button",
        "aria-pressed": "false",
        click: () => {
          only = only === key ? "" : key;
          for (const one of keys) one.setAttribute("aria-pressed", `${one === button && only !== ""}`);
          render();
        },
      },
      swatch,
      key || "(empty)",
      el("small", {}, `${count}`),
    );
    return button;
  });
  const scale = ramp
    ? [
        el(
          "span",
          { class: "legend" },
          `${groups!.name} ${short(ramp.least)}`,
          el("span", { class: "ramp viridis" }),
          short(ramp.most),
        ),
      ]
    : [];
  const frame = drawn(canvas, (wide) => {
    colours = styled();
    width = wide;
    height = Math.max(320, Math.min(width * 0.66, innerHeight - ABOVE));
    zooming.extent([
      [0, 0],
      [width, height],
    ]);
    render();
  });
  host.replaceChildren(el("div", { class: "row keys" }, field("Find", find), ...keys, ...scale), readout, frame);
}

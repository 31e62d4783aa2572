// Elements made in one call, and numbers as people read them. Text goes in as text nodes only, so nothing that a model or a
// file says is read as HTML; styles are set through the CSSOM, as the Content-Security-Policy allows no style attribute.

type Value = string | number | boolean | undefined | ((event: never) => void);
type Child = Node | string;

/** An element with attributes, listeners where a value is a function, and children. */
export function el<K extends keyof HTMLElementTagNameMap>(
  tag: K,
  props: Record<string, Value> = {},
  ...children: Child[]
): HTMLElementTagNameMap[K] {
  const element = document.createElement(tag);
  for (const [name, value] of Object.entries(props)) {
    if (typeof value === "function") element.addEventListener(name, value as EventListener);
    else if (typeof value === "boolean") element.toggleAttribute(name, value);
    else if (value !== undefined) element.setAttribute(name, `${value}`);
  }
  element.append(...children);
  return element;
}

/** A control under its label. */
export function field(label: string, control: HTMLElement): HTMLLabelElement {
  return el("label", { class: "field" }, el("span", {}, label), control);
}

export function tick(label: string, control: HTMLInputElement): HTMLLabelElement {
  return el("label", { class: "tick" }, control, label);
}

/** A select of values, each with what is shown for it. */
export function choice(options: readonly (readonly [value: string, label: string])[], change?: () => void) {
  const select = el("select", { change });
  setChoices(select, options);
  return select;
}

export function setChoices(select: HTMLSelectElement, options: readonly (readonly [string, string])[]): void {
  select.replaceChildren(...options.map(([value, label]) => el("option", { value }, label)));
}

/** A bar of this share of its width, for numbers that stand beside it. */
export function bar(share: number): HTMLElement {
  const element = el("span", { class: "bar", "aria-hidden": "true" });
  element.style.setProperty("--share", `${Math.max(0, Math.min(1, share))}`);
  return element;
}

/** A table that scrolls in itself, by keyboard too. */
export function table(label: string, columns: readonly string[], rows: readonly Child[][]): HTMLElement {
  const head = el("tr", {}, ...columns.map((name) => el("th", { scope: "col" }, name)));
  const body = rows.map((cells) => el("tr", {}, ...cells.map((cell) => el("td", {}, cell))));
  const inner = el("table", {}, el("thead", {}, head), el("tbody", {}, ...body));
  return el("div", { class: "scroll", tabindex: 0, role: "region", "aria-label": label }, inner);
}

export function whole(value: number): string {
  return Math.round(value).toLocaleString("en");
}

/** Three digits that count. */
export function short(value: number): string {
  if (!Number.isFinite(value)) return "–";
  return Math.abs(value) >= 100 ? whole(value) : `${Number(value.toPrecision(3))}`;
}

export function plural(count: number, word: string): string {
  return `${whole(count)} ${word}${count === 1 ? "" : "s"}`;
}

/** A colour of the style sheet, which knows light and dark. */
export function styleColour(name: string): string {
  return getComputedStyle(document.documentElement).getPropertyValue(`--${name}`).trim();
}

/** A canvas's context at the screen's resolution, cleared, for drawing in CSS pixels. */
export function context2d(canvas: HTMLCanvasElement, width: number, height: number): CanvasRenderingContext2D {
  const scale = devicePixelRatio;
  canvas.width = Math.round(width * scale);
  canvas.height = Math.round(height * scale);
  canvas.style.width = `${width}px`;
  canvas.style.height = `${height}px`;
  const context = canvas.getContext("2d")!;
  context.scale(scale, scale);
  return context;
}

const draws = new WeakMap<Element, () => void>();
matchMedia("(prefers-color-scheme: dark)").addEventListener("change", () => {
  for (const frame of document.querySelectorAll(".frame")) draws.get(frame)?.();
});

/** A place for a canvas, and calls of `draw` when its width or the colours change. */
export function drawn(canvas: HTMLCanvasElement, draw: (width: number) => void): HTMLElement {
  const element = el("div", { class: "frame" }, canvas);
  let before = -1;
  const again = () => element.clientWidth > 0 && draw(element.clientWidth);
  new ResizeObserver(() => {
    if (element.clientWidth !== before) again();
    before = element.clientWidth;
  }).observe(element);
  draws.set(element, again);
  return element;
}

// The page of the server: asks what is served, and puts up the tabs that it has models for. Everything is read from and sent
// to the server that the page came from.

import { el, plural } from "./dom.js";
import { fillMaskTab } from "./fill-mask-tab.js";
import { classesTab, entitiesTab } from "./labels-tabs.js";
import { showMap } from "./map-tab.js";
import { searchTab } from "./search-tab.js";
import { getText, type Info, modelsFor, type Task } from "./server-calls.js";
import { serverTab } from "./server-tab.js";
import { showSimilarity } from "./similarity-tab.js";
import { type Embedded, TextsPanel } from "./texts-panel.js";
import { showVectors } from "./vectors-tab.js";

const RETRY_MS = 1000;

const about = document.querySelector("#about")!;
const results = document.querySelector<HTMLElement>("#results")!;

/** What is served; asked for until it is there. */
async function serverInfo(): Promise<Info> {
  for (;;) {
    try {
      return JSON.parse(await getText("info"));
    } catch (error) {
      about.textContent = (error as Error).message;
      await new Promise((resolve) => setTimeout(resolve, RETRY_MS));
    }
  }
}

interface Tab {
  name: string;
  title: string;
  /** Absent: for any model. */
  tasks?: Task[];
  /** Fills the panel. What it returns is called whenever the panel is shown. */
  fill(panel: HTMLElement): unknown;
}

const info = await serverInfo();
const texts = new TextsPanel(document.querySelector<HTMLElement>("#texts")!, info);
about.textContent = `${info.models.map(({ model_id }) => model_id).join(", ")} · version ${info.version}`;
document.querySelector<HTMLElement>("#work")!.hidden = false;

/** A panel that shows the vectors, and until there are any says how to get them. */
const ofVectors = (show: (panel: HTMLElement, embedded: Embedded) => void) => (panel: HTMLElement) => {
  let shown: Embedded | undefined;
  const update = () => {
    if (panel.hidden || !texts.embedded || shown === texts.embedded) return;
    shown = texts.embedded;
    show(panel, shown);
  };
  panel.append(el("p", { class: "empty" }, "Type texts, open a file, or use the example; then press Embed."));
  texts.addEventListener("vectors", update);
  return update;
};

const all: Tab[] = [
  { name: "vectors", title: "Vectors", tasks: ["embedding"], fill: ofVectors(showVectors) },
  { name: "similarity", title: "Similarity", tasks: ["embedding"], fill: ofVectors(showSimilarity) },
  { name: "map", title: "Map", tasks: ["embedding"], fill: ofVectors(showMap) },
  { name: "search", title: "Search", tasks: ["embedding", "reranker"], fill: (panel) => searchTab(panel, info, texts) },
  { name: "fill-mask", title: "Fill masks", tasks: ["fill_mask"], fill: (panel) => fillMaskTab(panel, info) },
  { name: "entities", title: "Entities", tasks: ["tagger"], fill: (panel) => entitiesTab(panel, info, texts) },
  { name: "classes", title: "Classes", tasks: ["classifier"], fill: (panel) => classesTab(panel, info, texts) },
  { name: "server", title: "Server", fill: (panel) => serverTab(panel, info) },
];

const tabs = all
  .filter(({ tasks }) => !tasks || tasks.some((task) => modelsFor(info, task).length > 0))
  .map((tab) => {
    const { name, title } = tab;
    const panel = el("div", {
      id: name,
      role: "tabpanel",
      tabindex: -1,
      "aria-labelledby": `tab-${name}`,
      hidden: true,
    });
    const button = el(
      "button",
      { type: "button", role: "tab", id: `tab-${name}`, "aria-controls": name, click: () => show(name) },
      title,
    );
    return { ...tab, panel, button, update: tab.fill(panel) };
  });

/** Whether the vectors are of other texts than those typed now. */
const stale = el("p", { class: "stale", role: "status", hidden: true });
function checkStale(): void {
  const { embedded, set } = texts;
  const isStale =
    embedded !== undefined &&
    (embedded.texts.length !== set.texts.length || embedded.texts.some((text, i) => text !== set.texts[i]));
  stale.hidden = !isStale;
  stale.textContent = isStale
    ? `The vectors are of ${plural(embedded.texts.length, "text")} before your change; press Embed for new ones.`
    : "";
}
for (const event of ["texts", "vectors"]) texts.addEventListener(event, checkStale);

function show(name: string): void {
  for (const { name: own, panel, button, update } of tabs) {
    const isShown = own === name;
    panel.hidden = !isShown;
    button.setAttribute("aria-selected", `${isShown}`);
    button.tabIndex = isShown ? 0 : -1;
    if (isShown && typeof update === "function") update();
  }
  history.replaceState(null, "", `#${name}`);
}

const list = el(
  "div",
  {
    role: "tablist",
    "aria-label": "What to see",
    keydown: (event: KeyboardEvent) => {
      const at = tabs.findIndex(({ button }) => button === event.target);
      const to = { ArrowLeft: at - 1, ArrowRight: at + 1, Home: 0, End: -1 }[event.key];
      const next = to === undefined ? undefined : tabs.at(to % tabs.length);
      if (!next) return;
      event.preventDefault();
      show(next.name);
      next.button.focus();
    },
  },
  ...tabs.map(({ button }) => button),
);
results.append(list, stale, ...tabs.map(({ panel }) => panel));
const wanted = location.hash.slice(1);
show(tabs.some(({ name }) => name === wanted) ? wanted : tabs[0]!.name);

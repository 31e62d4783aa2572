// The page in headless Chromium: every tab's numbers are the library's, nothing leaves for another host, keys and faults are
// told in words, and it can be used without a pointer. Skipped where there is no Chromium (CHROMIUM names one elsewhere).
import { execFileSync } from "node:child_process";
import { existsSync, readFileSync } from "node:fs";
import { fileURLToPath } from "node:url";
import axe from "axe-core";
import { parquetReadObjects } from "hyparquet";
import { type Browser, chromium, type Page } from "playwright-core";
import { afterAll, afterEach, beforeAll, describe, expect, test } from "vitest";
import { wordsText } from "../encoder/fixture-encoder.js";
import { ask, disposeServed, loadServed, type SmallServed, servedOf } from "./fixture-serve.js";
import { createHandler, type Handler, type RequestRecord, type RunningServer, serve } from "./index.js";

const ROOT = fileURLToPath(new URL("../../../../", import.meta.url));
const places = [process.env.CHROMIUM, "/usr/bin/chromium", "/usr/bin/chromium-browser", "/usr/bin/google-chrome"];
const executablePath = places.find((path) => path !== undefined && existsSync(path));

const texts = ["the house of a united people", "law", "war and peace shall govern the free states"];
const rows = Array.from({ length: 30 }, (_, i) => ({ text: wordsText(2 + (i % 9), i), kind: "abc"[i % 3]!, n: i }));
const csv = `kind,text,n\n${rows.map(({ kind, text, n }) => `${kind},"${text}",${n}`).join("\n")}\n`;

let served: SmallServed;
let handler: Handler;
let server: RunningServer;
const records: RequestRecord[] = [];

beforeAll(async () => {
  execFileSync(process.execPath, ["tools/page.mjs"], { cwd: ROOT });
  served = await loadServed();
  handler = createHandler(servedOf(served), { apiKeys: ["secret"] });
  server = await serve(servedOf(served), { port: 0, log: (record) => records.push(record) });
}, 120_000);
afterAll(async () => {
  await server?.close();
  await disposeServed(served);
});

describe("the page's files", () => {
  const html = { headers: { accept: "text/html,application/xhtml+xml" } };

  test("a browser gets the page at /, without a key; others what /health says", async () => {
    const page = await ask(handler, "/", undefined, html);
    expect(page.headers.get("content-type")).toBe("text/html; charset=utf-8");
    expect(page.json).toMatch(/^<!doctype html>/);
    expect(page.headers.get("vary")).toBe("accept");
    for (const accept of ["*/*", "application/json"]) {
      expect(await ask(handler, "/", undefined, { headers: { accept } })).toMatchObject({ status: 200, json: "" });
    }
    expect((await ask(handler, "/", { inputs: "law" }, html)).status).toBe(401);
  });

  test("all that the page names is there, and is its own", async () => {
    const { json } = await ask(handler, "/", undefined, html);
    const named = [...json.matchAll(/(?:src|href)="([^"]+)"/g)]
      .map(([, path]) => path)
      .filter((path) => /^page\//.test(path));
    expect(named.sort()).toEqual(["page/page.js", "page/style.css"]);
    const script = (await ask(handler, "/page/page.js")).json;
    for (const worker of ["projection-worker.js", "parquet-worker.js"]) {
      expect(script).toContain(worker);
      const { status, headers } = await ask(handler, `/page/${worker}`);
      expect([status, headers.get("content-type")]).toEqual([200, "text/javascript; charset=utf-8"]);
    }
    expect((await ask(handler, "/page/style.css")).json).not.toMatch(/url\(|@import|https?:/);
    expect((await ask(handler, "/page/licences.txt")).json).toContain("d3-zoom");
    for (const path of ["/page/../package.json", "/page/%2e%2e/package.json", "/page/index.html", "/page/"]) {
      expect((await ask(handler, path)).status).toBe(404);
    }
  });

  test("its policy allows itself alone, and no inline script, style or frame", async () => {
    const { headers } = await ask(handler, "/", undefined, html);
    const policy = headers.get("content-security-policy")!.split("; ");
    expect(policy).toContain("default-src 'none'");
    expect(policy).toContain("script-src 'self'");
    expect(policy).toContain("frame-ancestors 'none'");
    expect(policy.join()).not.toMatch(/unsafe|http|\*/);
    expect(headers.get("x-content-type-options")).toBe("nosniff");
  });

  test("a browser that has a file is told so, and gets the new one after a change", async () => {
    const { headers } = await ask(handler, "/page/page.js");
    expect(headers.get("cache-control")).toBe("no-cache");
    const etag = headers.get("etag")!;
    const again = await ask(handler, "/page/page.js", undefined, { headers: { "if-none-match": etag } });
    expect(again).toMatchObject({ status: 304, json: "" });
    expect((await ask(handler, "/page/page.js", undefined, { headers: { "if-none-match": '"x"' } })).status).toBe(200);
    const response = await fetch(`${server.url}/page/page.js`, { headers: { "if-none-match": etag } });
    expect([response.status, response.headers.get("content-length")]).toEqual([304, null]);
  });

  test("the packed package holds them", () => {
    const listed = execFileSync("npm", ["pack", "--dry-run", "--json", "--ignore-scripts"], {
      cwd: `${ROOT}packages/neobert`,
      encoding: "utf8",
      stdio: ["ignore", "pipe", "ignore"],
    });
    const packed = JSON.parse(listed)[0].files.map(({ path }: { path: string }) => path);
    for (const name of [
      "index.html",
      "page.js",
      "style.css",
      "projection-worker.js",
      "parquet-worker.js",
      "licences.txt",
    ]) {
      expect(packed).toContain(`dist/page/${name}`);
    }
  });
});

test.runIf(executablePath === undefined)("there is no Chromium here, so the page is not opened", (context) => {
  context.skip("install chromium, or name it by CHROMIUM");
});

describe.runIf(executablePath !== undefined)("the page in Chromium", () => {
  let browser: Browser;
  const open: Page[] = [];
  /** What the browser complains of, and hosts that it asked. */
  const complaints: string[] = [];
  const hosts = new Set<string>();

  beforeAll(async () => {
    browser = await chromium.launch({ ...(executablePath && { executablePath }), args: ["--no-sandbox"] });
  });
  afterAll(() => browser?.close());
  afterEach(async () => {
    await Promise.all(open.splice(0).map((page) => page.close()));
    expect(complaints.splice(0)).toEqual([]);
  });

  async function openPage(url = server.url, options: Parameters<Browser["newPage"]>[0] = {}): Promise<Page> {
    const page = await browser.newPage({ viewport: { width: 1280, height: 900 }, ...options });
    page.setDefaultTimeout(15_000);
    open.push(page);
    page.on("pageerror", ({ message }) => complaints.push(message));
    page.on("console", (message) => message.type() === "error" && complaints.push(message.text()));
    page.on("request", (request) => hosts.add(new URL(request.url()).host));
    await page.goto(url);
    await page.getByRole("tab").first().waitFor();
    return page;
  }
  const tab = (page: Page, name: string) => page.getByRole("tab", { name, exact: true }).click();
  const press = (page: Page, name: string | RegExp) => page.getByRole("button", { name }).click();

  async function embed(page: Page, lines: readonly string[] = texts): Promise<void> {
    await page.getByLabel("One a line").fill(lines.join("\n"));
    await press(page, /^Embed/);
    await page.getByText("numbers by embed").waitFor();
  }
  async function dropCsv(page: Page): Promise<void> {
    await page.setInputFiles("#file", { name: "rows.csv", mimeType: "text/csv", buffer: Buffer.from(csv) });
    await press(page, "Embed 30 texts");
    await page.getByText(/^30 vectors/).waitFor();
  }
  const cells = async (page: Page, panel: string) =>
    Promise.all((await page.locator(`#${panel} tbody tr`).all()).map((row) => row.locator("td").allTextContents()));

  test("shows each text's vector: tokens, how many were cut, norm and first numbers", async () => {
    const page = await openPage();
    const long = "law ".repeat(90).trim();
    await page.getByLabel("Vectors of length 1").uncheck();
    await embed(page, [...texts, long]);
    const expected = await served.encoder.encode([...texts, long], { normalize: false });
    const shown = await cells(page, "vectors");
    expect(shown.length).toBe(4);
    for (const [i, [, text, tokens, cut, norm, ...values]] of shown.entries()) {
      const row = expected.row(i);
      const all = served.encoder.countTokens([...texts, long][i]!);
      expect(text).toBe([...texts, long][i]);
      expect([tokens, cut]).toEqual([`${Math.min(all, 64)}`, `${Math.max(0, all - 64)}`]);
      expect(Number(norm)).toBeCloseTo(Math.hypot(...row), 2);
      for (const [k, value] of values.entries()) expect(Math.abs(Number(value) - row[k]!)).toBeLessThan(6e-4);
    }
    await page.getByText("1 text cut at 64 tokens").waitFor();
  });

  test("a dropped CSV is read by its columns, and downloaded as Parquet with its vectors", async () => {
    const page = await openPage();
    await dropCsv(page);
    expect(await page.getByRole("combobox", { name: "Text", exact: true }).inputValue()).toBe("1");
    const waiting = page.waitForEvent("download");
    await press(page, "Download Parquet");
    const download = await waiting;
    expect(download.suggestedFilename()).toBe("embed.parquet");
    const { buffer } = new Uint8Array(readFileSync(await download.path()));
    const read = await parquetReadObjects({ file: buffer });
    expect(read.map(({ text, kind, n }) => ({ text, kind, n: Number(n) }))).toEqual(rows);
    const expected = await served.encoder.encode(
      rows.map(({ text }) => text),
      { normalize: true },
    );
    for (const [i, { embedding }] of read.entries()) {
      expect(Math.max(...expected.row(i).map((value, k) => Math.abs(value - embedding[k])))).toBeLessThan(1e-6);
    }
  });

  test("the heat map says the cosine of the two texts that the arrow keys reach", async () => {
    const page = await openPage();
    await embed(page);
    await tab(page, "Similarity");
    const { data } = await served.encoder.encode(texts, { normalize: true });
    const cosine = (a: number, b: number) => {
      let sum = 0;
      for (let k = 0; k < 32; k++) sum += data[32 * a + k]! * data[32 * b + k]!;
      return sum.toFixed(3);
    };
    const readout = page.locator("#similarity .readout");
    expect(await readout.textContent()).toBe(`${cosine(0, 1)}1. ${texts[0]}2. ${texts[1]}`);
    await page.locator("#similarity canvas").focus();
    await page.keyboard.press("ArrowRight");
    await page.keyboard.press("ArrowDown");
    expect(await readout.textContent()).toBe(`${cosine(1, 2)}2. ${texts[1]}3. ${texts[2]}`);
    const box = (await page.locator("#similarity canvas").boundingBox())!;
    await page.mouse.move(box.x + box.width - 4, box.y + 4);
    expect(await readout.textContent()).toBe(`${cosine(0, 2)}1. ${texts[0]}3. ${texts[2]}`);
    const best = [
      [0, 1],
      [0, 2],
      [1, 2],
    ]
      .map(([a, b]) => cosine(a!, b!))
      .sort()
      .at(-1);
    expect((await cells(page, "similarity"))[0]![0]).toBe(best);
  });

  test.each(["pca", "umap"])(
    "the map by %s is coloured by a column, and read and zoomed by keyboard",
    async (method) => {
      const page = await openPage();
      await dropCsv(page);
      await tab(page, "Map");
      await page.getByLabel("Method").selectOption(method);
      if (method === "umap") await press(page, "Draw");
      await page.getByText(method === "pca" ? /The axes hold .* of the variance/ : /Near points are alike/).waitFor();
      expect(await page.getByRole("button", { name: /^[abc] 10$/ }).count()).toBe(3);
      const canvas = page.locator("#map canvas");
      await canvas.focus();
      const readout = page.locator("#map .readout");
      const seen = new Set<string>();
      for (const key of ["ArrowRight", "ArrowLeft", "ArrowUp", "ArrowDown", "ArrowRight", "ArrowUp"]) {
        await page.keyboard.press(key);
        const [, kind, at, text] = /^([abc])(\d+)\. (.*)$/.exec((await readout.textContent())!)!;
        expect({ kind, text }).toEqual({ kind: rows[Number(at) - 1]!.kind, text: rows[Number(at) - 1]!.text });
        seen.add(at!);
      }
      expect(seen.size).toBeGreaterThan(1);
      const before = await canvas.screenshot();
      await page.keyboard.press("+");
      const zoomed = await canvas.screenshot();
      expect(zoomed.equals(before)).toBe(false);
      await page.keyboard.press("0");
      expect((await canvas.screenshot()).equals(before)).toBe(true);
      await press(page, /^a 10/);
      expect((await canvas.screenshot()).equals(before)).toBe(false);
    },
  );

  test("a search ranks as the vectors do, and a cross-encoder reranks the best", async () => {
    const page = await openPage();
    await dropCsv(page);
    await tab(page, "Search");
    const all = rows.map(({ text }) => text);
    const query = "peace of the house";
    const vectors = await served.encoder.encode(all, { normalize: true });
    const asked = await served.encoder.encode([query], { promptName: "query", normalize: true });
    const scores = served.encoder.similarity(vectors, asked.row(0)).data;
    const order = [...scores.keys()].sort((a, b) => scores[b]! - scores[a]!);
    await page.getByRole("searchbox", { name: "Query" }).fill(query);
    expect(await page.getByLabel("Prompt of the query").inputValue()).toBe("query");
    await page.getByLabel("Rerank the best").uncheck();
    await page.keyboard.press("Tab");
    await press(page, "Search");
    const hits = page.locator("#search li > span:last-child");
    await hits.nth(19).waitFor();
    const found = await hits.allTextContents();
    for (const [i, text] of found.entries()) {
      expect(scores[all.indexOf(text)]!).toBeCloseTo(scores[order[i]!]!, 4);
    }
    await page.getByLabel("Rerank the best").check();
    await page.getByLabel("How many").fill("10");
    await page.getByRole("searchbox", { name: "Query" }).press("Enter");
    await expect.poll(() => hits.count()).toBe(10);
    const best = order.slice(0, 10).map((i) => all[i]!);
    const reranked = await served.reranker.rerank(query, best);
    const shown = await page.locator("#search .score").allTextContents();
    expect(shown.map((text) => text.slice(0, 5))).toEqual(reranked.map(({ score }) => score.toFixed(3)));
  });

  test("masks are filled by pressing words, one after the other, and taken back", async () => {
    const page = await openPage();
    await tab(page, "Fill masks");
    const text = page.getByLabel("Text with masks");
    await text.fill("the [MASK] of [MASK] people");
    await press(page, "Fill");
    const expected = await served.fillMask.fill("the [MASK] of [MASK] people", { topK: 8 });
    for (const [i, choices] of expected.entries()) {
      const words = page.getByRole("group", { name: `Mask ${i + 1}` }).locator("button span:first-child");
      await words.first().waitFor();
      expect(await words.allTextContents()).toEqual(choices.map(({ token }) => token));
    }
    await page.getByRole("group", { name: "Mask 2" }).getByRole("button").first().click();
    const word = expected[1]![0]!.token;
    const once = word.startsWith("##") ? `the [MASK] of${word.slice(2)} people` : `the [MASK] of ${word} people`;
    expect(await text.inputValue()).toBe(once);
    await expect.poll(() => page.getByRole("group").count()).toBe(1);
    await page.getByRole("group", { name: "Mask 1" }).getByRole("button").first().click();
    await page.getByText("All masks are filled.").waitFor();
    await press(page, "Undo");
    expect(await text.inputValue()).toBe(once);
  });

  test("entities are marked where they stand, and classes have the classifier's scores", async () => {
    const page = await openPage();
    await page.getByLabel("One a line").fill(texts.join("\n"));
    await tab(page, "Entities");
    await page.getByLabel("Least score").fill("0");
    await press(page, "Find entities");
    const expected = await served.tagger.tag(texts);
    await page.getByText(`${expected.flat().length} finds in 3 texts`).waitFor();
    for (const [i, item] of (await page.locator("#entities li").all()).entries()) {
      const marks = await item.locator("mark").allTextContents();
      expect(marks).toEqual(expected[i]!.map(({ label, start, end }) => texts[i]!.slice(start, end) + label));
      expect((await item.textContent())!.length).toBe(
        texts[i]!.length + expected[i]!.map(({ label }) => label).join("").length,
      );
    }
    await tab(page, "Classes");
    await press(page, "Classify");
    await page.getByText("3 texts classified").waitFor();
    const classes = await served.classifier.classify(texts);
    for (const [i, item] of (await page.locator("#classes li").all()).entries()) {
      const scores = await item.locator(".score").allTextContents();
      expect(scores).toEqual(classes[i]!.map(({ label, score }) => label + score.toFixed(3)));
    }
  });

  test("the server's tab tells its texts, and goes on counting", async () => {
    const page = await openPage();
    await tab(page, "Server");
    const count = async () =>
      Number(/start: ([\d,]+) texts/.exec((await page.locator("#server").textContent())!)?.[1]?.replace(",", ""));
    await expect.poll(count).toBeGreaterThan(0);
    const before = await count();
    await fetch(`${server.url}/embed`, {
      method: "POST",
      headers: { "content-type": "application/json" },
      body: JSON.stringify({ inputs: texts }),
    });
    await expect.poll(count, { timeout: 5000 }).toBe(before + 3);
    const median = page.getByRole("region", { name: "Latency, median" });
    expect(await median.textContent()).toMatch(/[\d.]+ ms/);
    expect(await page.getByRole("region", { name: "Texts per second" }).locator("path").getAttribute("d")).toMatch(
      /^M[\d.]+ /,
    );
    const looks = records.filter(({ path }) => path === "/metrics").length;
    await tab(page, "Search");
    await page.waitForTimeout(2200);
    expect(records.filter(({ path }) => path === "/metrics").length - looks).toBeLessThanOrEqual(1);
  });

  test("many texts go in parts, and Stop ends them", async () => {
    const page = await openPage();
    const many = Array.from({ length: 6000 }, (_, i) => wordsText(50, i)).join("\n");
    await page.setInputFiles("#file", { name: "many.txt", mimeType: "text/plain", buffer: Buffer.from(many) });
    records.length = 0;
    await press(page, "Embed 6,000 texts");
    await page.getByText(/^[1-9][\d,]* of 6,000$/).waitFor();
    await press(page, "Stop");
    await page.getByText(/^Stopped at [\d,]+ of 6,000\.$/).waitFor();
    await page.waitForTimeout(500);
    const parts = records.filter(({ path, status }) => path === "/v1/embeddings" && status === 200);
    expect(Math.max(...parts.map(({ inputs }) => inputs ?? 0))).toBe(64);
    const sent = records.length;
    expect(parts.length).toBeLessThan(80);
    await page.waitForTimeout(500);
    expect(records.length).toBe(sent);
    await page.getByRole("button", { name: "Embed 6,000 texts" }).waitFor();
  });

  test("a key is asked for where the server wants one, kept for this tab alone, and a wrong one is told", async () => {
    const locked = await serve(servedOf(served), { port: 0, apiKeys: ["secret"] });
    try {
      const page = await openPage(locked.url);
      const key = page.getByLabel("API key");
      expect(await key.isVisible()).toBe(false);
      await page.getByLabel("One a line").fill(texts.join("\n"));
      await press(page, /^Embed/);
      await key.fill("wrong");
      await key.press("Enter");
      await page.getByText("Not the server's key").waitFor();
      await key.fill("secret");
      await key.press("Enter");
      await page.getByText(/^3 vectors/).waitFor();
      expect(await key.isVisible()).toBe(false);
      expect(await page.evaluate("[JSON.stringify(sessionStorage), localStorage.length, document.cookie]")).toEqual([
        '{"neobert-api-key":"secret"}',
        0,
        "",
      ]);
      complaints.splice(0); // the browser's own lines about 401
    } finally {
      await locked.close();
    }
  });

  test("what goes wrong is said where it arose, and nothing typed is read as HTML", async () => {
    const page = await openPage();
    await page.setInputFiles("#file", { name: "bad.jsonl", mimeType: "text/plain", buffer: Buffer.from('{"text":') });
    await page.getByText('bad.jsonl: expected JSON on line 1, got {"text":').waitFor();
    await tab(page, "Search");
    await page.getByRole("searchbox", { name: "Query" }).fill("law");
    await press(page, "Search");
    expect(await page.locator("#search [role=alert]").textContent()).toMatch(/There are no vectors yet/);
    await tab(page, "Fill masks");
    await page.getByLabel("Text with masks").fill("nothing hidden");
    await press(page, "Fill");
    expect(await page.locator("#fill-mask [role=alert]").textContent()).toMatch(/Write \[MASK\]/);
    const evil = `<img src=x onerror="document.title='caught'">`;
    await tab(page, "Vectors");
    await embed(page, [evil, "law", "peace"]);
    for (const name of ["Similarity", "Map", "Vectors"]) await tab(page, name);
    expect(await page.locator("#vectors .text").first().textContent()).toBe(evil);
    expect(await page.title()).toBe("NeoBERT");
    await page.getByLabel("One a line").fill("other");
    await page.getByText("The vectors are of 3 texts before your change").waitFor();
  });

  test("a page that is opened while models load says so, and goes on when they are there", async () => {
    let loaded: (models: ReturnType<typeof servedOf>) => void = () => {};
    const loading = await serve(new Promise((resolve) => (loaded = resolve)), { port: 0 });
    const page = await browser.newPage();
    open.push(page);
    await page.goto(loading.url);
    await page.getByText("503: the model is loading").waitFor();
    expect(await page.getByRole("tab").count()).toBe(0);
    loaded(servedOf(served).slice(3));
    await page.getByRole("tab", { name: "Fill masks" }).waitFor();
    // Tabs are for what is served: nothing here makes vectors.
    expect(await page.getByRole("tab").allTextContents()).toEqual(["Fill masks", "Entities", "Server"]);
    expect(await page.getByRole("button", { name: /^Embed/ }).isVisible()).toBe(false);
    await loading.close();
  });

  test("a file is taken where it is dropped, and texts beyond the server's limits go in smaller parts", async () => {
    const small = await serve(servedOf(served), { port: 0, payloadLimit: 2000, log: (record) => records.push(record) });
    const page = await openPage(small.url);
    records.length = 0;
    await page.evaluate(`{
      const transfer = new DataTransfer();
      transfer.items.add(new File([${JSON.stringify(csv)}], "dropped.csv"));
      document.body.dispatchEvent(new DragEvent("drop", { dataTransfer: transfer, bubbles: true, cancelable: true }));
    }`);
    await page.getByText("dropped.csv").waitFor();
    await press(page, "Embed 30 texts");
    await page.getByText(/^30 vectors/).waitFor();
    const parts = records.filter(({ path }) => path === "/v1/embeddings");
    expect(parts.length).toBeGreaterThan(3);
    expect(parts.map(({ status }) => status)).toEqual(parts.map(() => 200));
    await small.close();
  });

  test("a server that has gone is told in words", async () => {
    const going = await serve(servedOf(served), { port: 0 });
    const page = await openPage(going.url);
    await going.close();
    await page.getByLabel("One a line").fill("law");
    await press(page, /^Embed/);
    expect(await page.locator("#texts [role=alert].error").last().textContent()).toMatch(
      /^The server at 127\.0\.0\.1:\d+ does not answer\. Is it still running\?$/,
    );
    complaints.splice(0);
  });

  test("tabs are moved among by arrow keys, and their names are in the address", async () => {
    const page = await openPage();
    await page.getByRole("tab", { name: "Vectors" }).focus();
    await page.keyboard.press("ArrowRight");
    expect(page.url()).toMatch(/#similarity$/);
    await page.keyboard.press("End");
    expect(await page.getByRole("tab", { selected: true }).textContent()).toBe("Server");
    const again = await openPage(`${server.url}/#fill-mask`);
    expect(await again.getByRole("tab", { selected: true }).textContent()).toBe("Fill masks");
  });

  test.each(["light", "dark"] as const)(
    "axe finds no barrier in any tab, in %s and on a phone's width",
    async (colorScheme) => {
      const page = await openPage(server.url, { colorScheme, viewport: { width: 390, height: 800 } });
      await dropCsv(page);
      await page.evaluate(axe.source);
      for (const name of ["Vectors", "Similarity", "Map", "Search", "Fill masks", "Entities", "Classes", "Server"]) {
        await tab(page, name);
        for (const label of ["Fill", "Find entities", "Classify"]) {
          const button = page.getByRole("button", { name: label, exact: true });
          if (await button.isVisible()) await button.click();
        }
        await page.waitForTimeout(300);
        const { violations } = (await page.evaluate("axe.run()")) as axe.AxeResults;
        expect({ name, found: violations.map(({ id, nodes }) => `${id}: ${nodes[0]!.html}`) }).toEqual({
          name,
          found: [],
        });
        expect(await page.evaluate("document.documentElement.scrollWidth")).toBe(390);
      }
    },
  );

  test("in all of this the browser asked no other host", () => {
    expect(hosts.size).toBeGreaterThan(0);
    expect([...hosts].filter((host) => !host.startsWith("127.0.0.1:"))).toEqual([]);
  });
});

// Mutants of a valid file, as fast-check arbitraries: its bytes with some changed, put in, left out or repeated; and,
// where it holds JSON, its values changed to other types and extremes, left out, doubled, nested and renamed. The tree that
// is changed keeps what JSON.parse loses: keys that stand twice, keys like `__proto__`, numbers as they are written.

import fc from "fast-check";

/** Where a file holds JSON: its text, and the file of another text. */
export const plainJson = { open: (bytes) => bytes.toString(), close: (text) => Buffer.from(text) };

/** The header of a safetensors file of its data, its length mended. */
export const safetensorsHeader = {
  open: (bytes) => bytes.subarray(8, 8 + Number(bytes.readBigUInt64LE())).toString(),
  close(text, bytes) {
    const length = Buffer.alloc(8);
    length.writeBigUInt64LE(BigInt(Buffer.byteLength(text)));
    return Buffer.concat([length, Buffer.from(text), bytes.subarray(8 + Number(bytes.readBigUInt64LE()))]);
  },
};

/** Lines of JSON, of which one is changed in each mutant. */
export const jsonLines = {
  open: (bytes) => `[${bytes.toString().trim().split("\n").join(",")}]`,
  close: (text) => Buffer.from(text.slice(1, -1).replaceAll('},{"', '}\n{"')),
};

const oddTexts = ["", "constructor", "__proto__", "toString", "../x", "/etc/passwd", "NaN", "0", "a\u0000b", "\ud800"];
const oddScalars = [
  ...["null", "true", "false", "0", "-1", "1", "1.5", "255", "65536", "2147483648", "4294967297", "1e9"],
  ...["9007199254740993", "-9007199254740993", "1e30", "1e999", "-1e15", "1e-320", "100000"],
  ...oddTexts.map((text) => JSON.stringify(text)),
  JSON.stringify("x".repeat(20_000)),
  ...["[]", "{}", "[null]", "[[]]", '[["a",1]]', '{"":0}', '{"__proto__":{"polluted":1}}', '{"toString":1}'],
  `${"[".repeat(3000)}${"]".repeat(3000)}`,
  `[${"0,".repeat(5000)}0]`,
];
const scalar = (text) => ({ text });
const isScalar = (node) => "text" in node;

function treeOf(value) {
  if (typeof value !== "object" || value === null) return scalar(JSON.stringify(value));
  if (Array.isArray(value)) return { isList: true, entries: value.map((item) => ["", treeOf(item)]) };
  return { isList: false, entries: Object.entries(value).map(([key, item]) => [key, treeOf(item)]) };
}

function textOf(node) {
  if (isScalar(node)) return node.text;
  const items = node.entries.map(([key, item]) => (node.isList ? "" : `${JSON.stringify(key)}:`) + textOf(item));
  return node.isList ? `[${items.join(",")}]` : `{${items.join(",")}}`;
}

/** Every place of a value: the node that holds it, and which of its entries it is. */
function placesOf(node, places = []) {
  if (isScalar(node)) return places;
  for (const [index, [, item]] of node.entries.entries()) {
    places.push([node, index]);
    placesOf(item, places);
  }
  return places;
}

/** A change of the value at a place; `pick` is any whole number that chooses among what there is. */
const changes = {
  replace: ([node, index], pick) => {
    node.entries[index][1] = scalar(oddScalars[pick % oddScalars.length]);
  },
  scale: ([node, index], pick) => {
    const { text } = node.entries[index][1];
    const factor = [-1, 0.5, 2, 1000, 1e6][pick % 5];
    node.entries[index][1] = scalar(Number.isFinite(Number(text)) ? `${Number(text) * factor}` : "-7");
  },
  drop: ([node, index]) => node.entries.splice(index, 1),
  double: ([node, index]) => node.entries.splice(index, 0, node.entries[index]),
  rename: ([node, index], pick) => {
    node.entries[index][0] = oddTexts[pick % oddTexts.length];
  },
  nest: ([node, index], pick) => {
    const key = oddTexts[pick % oddTexts.length];
    node.entries[index][1] = { isList: pick % 2 === 0, entries: [[key, node.entries[index][1]]] };
  },
  move: ([node, index], pick, places) => {
    const [other, at] = places[pick % places.length];
    node.entries[index][1] = scalar(textOf(other.entries[at][1]));
  },
};

const structuralEdit = fc.record({
  at: fc.nat(),
  change: fc.constantFrom("replace", "replace", "replace", ...Object.keys(changes)),
  pick: fc.nat(),
});

function editJson(bytes, structure, edits) {
  const root = { isList: true, entries: [["", treeOf(JSON.parse(structure.open(bytes)))]] };
  for (const { at, change, pick } of edits) {
    const places = placesOf(root);
    if (places.length > 0) changes[change](places[at % places.length], pick, places);
  }
  return structure.close(root.entries.map(([, item]) => textOf(item)).join(""), bytes);
}

const byteEdit = fc.record({
  at: fc.nat(),
  kind: fc.constantFrom("set", "set", "insert", "delete", "cut", "repeat"),
  length: fc.integer({ min: 1, max: 64 }),
  bytes: fc.oneof(
    fc.uint8Array({ minLength: 1, maxLength: 8 }),
    fc.constantFrom(
      ...['"', "{", "]", "\\", "\n", "\r", ",", "\t", "- ", ": ", "&a ", "*a "].map((text) => Buffer.from(text)),
    ),
    fc.constantFrom(Buffer.alloc(8), Buffer.alloc(8, 255), Buffer.from([0xff, 0xff, 0xff, 0x7f]), Buffer.from([0x80])),
  ),
});

function editBytes(bytes, edits) {
  let edited = bytes;
  for (const { at, kind, length, bytes: given } of edits) {
    const start = at % (edited.length + 1);
    const [before, after] = [edited.subarray(0, start), edited.subarray(start)];
    if (kind === "cut") edited = before;
    else if (kind === "set") edited = Buffer.concat([before, given, after.subarray(given.length)]);
    else if (kind === "insert") edited = Buffer.concat([before, given, after]);
    else if (kind === "delete") edited = Buffer.concat([before, after.subarray(length)]);
    else edited = Buffer.concat([before, after.subarray(0, length), after.subarray(0, length), after]);
  }
  return edited;
}

/** Mutants of `bytes`, structural ones where `structure` says how its JSON lies in it. */
export function mutantsOf(bytes, structure) {
  const byBytes = fc.array(byteEdit, { minLength: 1, maxLength: 4 }).map((edits) => editBytes(bytes, edits));
  if (!structure) return byBytes;
  const byJson = fc
    .array(structuralEdit, { minLength: 1, maxLength: 4 })
    .map((edits) => editJson(bytes, structure, edits));
  return fc.oneof({ arbitrary: byJson, weight: 5 }, { arbitrary: byBytes, weight: 1 });
}

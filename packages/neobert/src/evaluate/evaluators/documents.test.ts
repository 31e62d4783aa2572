import fc from "fast-check";
import { expect, test } from "vitest";
import { finish } from "../learn/slices.js";
import { DocumentStore, documentsOf } from "./documents.js";

test("a store gives back ids and texts, and goes through falling ids in the byte order of UTF-8", () => {
  const id = fc.oneof(
    fc.string({ unit: "grapheme", maxLength: 4 }),
    fc.string({ unit: fc.constantFrom("a", "b", "\u{1f600}", "\uffff", "\0"), maxLength: 5 }),
    fc.integer({ min: 0, max: 300 }).map(String),
  );
  fc.assert(
    fc.property(fc.uniqueArray(id, { maxLength: 200 }), (ids) => {
      const list = ids.map((id, i) => ({ id, text: `${id} ${"x".repeat(i)}` }));
      const store = new DocumentStore();
      for (const document of list) store.add(document);
      expect(list.map((_, place) => ({ id: store.id(place), text: store.text(place) }))).toEqual(list);
      const expected = [...list.keys()].sort((a, b) => Buffer.compare(Buffer.from(ids[b]!), Buffer.from(ids[a]!)));
      expect([...finish(store.byFallingId())]).toEqual(expected);
      expect([...finish(documentsOf(list).byFallingId())]).toEqual(expected);
    }),
  );
});

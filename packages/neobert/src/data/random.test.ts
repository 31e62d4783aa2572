import fc from "fast-check";
import { expect, test } from "vitest";
import { Permutation, philox4x32, randomBelow, uniform } from "./random.js";

test("Philox4x32-10 gives the known answers of Random123's kat_vectors", () => {
  const answers: [number[], number[], number[]][] = [
    [
      [0, 0, 0, 0],
      [0, 0],
      [0x6627e8d5, 0xe169c58d, 0xbc57ac4c, 0x9b00dbd8],
    ],
    [
      [0xffffffff, 0xffffffff, 0xffffffff, 0xffffffff],
      [0xffffffff, 0xffffffff],
      [0x408f276d, 0x41c83b0e, 0xa20bc7c6, 0x6d5451fd],
    ],
    [
      [0x243f6a88, 0x85a308d3, 0x13198a2e, 0x03707344],
      [0xa4093822, 0x299f31d0],
      [0xd16cfe09, 0x94fdcceb, 0x5001e420, 0x24126ea1],
    ],
  ];
  const out = new Uint32Array(4);
  for (const [counter, key, expected] of answers) {
    philox4x32(out, counter as [number, number, number, number], key as [number, number]);
    expect([...out]).toEqual(expected);
  }
});

test("uniform lies in [0, 1) with mean 1/2 and variance 1/12, and the next counter is not correlated", () => {
  const n = 50_000;
  let [sum, squares, products, previous] = [0, 0, 0, 0.5];
  for (let i = 0; i < n; i++) {
    const value = uniform(7, 1, i);
    expect(value >= 0 && value < 1).toBe(true);
    sum += value;
    squares += (value - 0.5) ** 2;
    products += (value - 0.5) * (previous - 0.5);
    previous = value;
  }
  expect(sum / n).toBeCloseTo(0.5, 2);
  expect(squares / n).toBeCloseTo(1 / 12, 2);
  expect(Math.abs(products / n)).toBeLessThan(0.002);
});

test("randomBelow draws every integer equally often", () => {
  const counts = new Array<number>(7).fill(0);
  for (let i = 0; i < 70_000; i++) counts[randomBelow(7, 3, 2, i)]!++;
  for (const count of counts) expect(Math.abs(count - 10_000)).toBeLessThan(400); // 4 standard deviations: 370
});

test("a permutation of more than 2^32 places keeps within them and repeats none", () => {
  for (const length of [2 ** 32 + 1, 5e9, 2 ** 50 + 1, 2 ** 52]) {
    const permutation = new Permutation(length, 3, 2, 1);
    const places = Array.from({ length: 20_000 }, (_, index) => Math.floor((index * length) / 20_000));
    const values = places.map((place) => permutation.at(place));
    expect(new Set(values).size).toBe(places.length);
    expect(values.every((value) => Number.isInteger(value) && value >= 0 && value < length)).toBe(true);
    for (let tenth = 0; tenth < 10; tenth++) {
      const count = values.filter((value) => Math.floor((10 * value) / length) === tenth).length;
      expect(Math.abs(count - 2000)).toBeLessThan(200); // 4 standard deviations: 170
    }
  }
  expect(() => new Permutation(2 ** 52 + 2, 3, 2, 1)).toThrow("expected a length of 1 to 2^52");
});

test("a permutation visits every index below n once, whatever n and key", () => {
  fc.assert(
    fc.property(fc.integer({ min: 1, max: 3000 }), fc.nat(), fc.nat(1000), (length, seed, epoch) => {
      const permutation = new Permutation(length, seed, 1, epoch);
      const seen = new Set(Array.from({ length }, (_, index) => permutation.at(index)));
      expect(seen.size).toBe(length);
      expect(Math.max(...seen)).toBe(length - 1);
    }),
    { numRuns: 60 },
  );
});

test("a permutation of 2^32 stays inside it", () => {
  const permutation = new Permutation(2 ** 32, 1, 1, 0);
  const values = [0, 1, 2 ** 31, 2 ** 32 - 1].map((index) => permutation.at(index));
  expect(new Set(values).size).toBe(4);
  for (const value of values) expect(value >= 0 && value < 2 ** 32).toBe(true);
});

test("over many keys each element is equally likely at each place", () => {
  const counts = Array.from({ length: 5 }, () => new Array<number>(5).fill(0));
  for (let epoch = 0; epoch < 10_000; epoch++) {
    const permutation = new Permutation(5, 11, 1, epoch);
    for (let place = 0; place < 5; place++) counts[place]![permutation.at(place)]!++;
  }
  for (const count of counts.flat()) expect(Math.abs(count - 2000)).toBeLessThan(180); // 4.5 standard deviations of 40
});

test("neighbours in one order are not neighbours in the next", () => {
  const [first, second] = [0, 1].map((epoch) => new Permutation(10_000, 5, 1, epoch));
  let fixed = 0;
  for (let place = 0; place < 10_000; place++) if (first!.at(place) === second!.at(place)) fixed++;
  expect(fixed).toBeLessThan(12); // expectation 1
});

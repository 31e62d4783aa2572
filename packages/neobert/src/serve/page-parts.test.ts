// What the page computes and reads without a browser: files, the map's axes, the metrics.
import { expect, test } from "vitest";
import { principalComponents } from "../../page/principal-components.js";
import { parseMetrics, quantile } from "../../page/read-metrics.js";
import { guessColumns, readTable } from "../../page/read-table.js";

test("a CSV keeps commas, quotes and line ends inside quotes, and empty cells", () => {
  const { columns, rows } = readTable("a.csv", 'id,text,topic\r\n1,"a, ""b""\nc",x\r\n2,,\r\n');
  expect(columns).toEqual(["id", "text", "topic"]);
  expect(rows).toEqual([
    ["1", 'a, "b"\nc', "x"],
    ["2", "", ""],
  ]);
});

test("a CSV's separator is the one that its first line has most of, a TSV's the tab", () => {
  expect(readTable("a.tsv", "a, b\ttext\n1\tx, y, z\n").rows).toEqual([["1", "x, y, z"]]);
  expect(readTable("a.csv", "a;text\n1;x, y\n").rows).toEqual([["1", "x, y"]]);
});

test("JSON Lines give the columns of all records, other values as JSON", () => {
  const { columns, rows } = readTable("a.jsonl", '{"text":"a","n":1}\n\n{"text":"b","tags":["x"]}\n"c"\n');
  expect(columns).toEqual(["text", "n", "tags"]);
  expect(rows).toEqual([
    ["a", "1", ""],
    ["b", "", '["x"]'],
    ["c", "", ""],
  ]);
  expect(readTable("a.json", '[{"text":"a"},"b"]').rows).toEqual([["a"], ["b"]]);
});

test("plain text has a text a line, without the blank ones", () => {
  expect(readTable("notes.txt", "a, b\n\n  \nc\r\n")).toMatchObject({ columns: ["text"], rows: [["a, b"], ["c"]] });
});

test.each([
  ["a.jsonl", '{"text":"a"}\n{"text":', /^a\.jsonl: expected JSON on line 2, got \{"text":/],
  ["a.json", '{"text":"a"}', /^a\.json: expected a list/],
  ["a.csv", "a,b\n", /^a\.csv: expected a line of column names and rows below it/],
  ["a.jsonl", "\n", /^a\.jsonl: expected objects or texts, got none/],
])("%s that is not what its name says is refused in words", (name, content, message) => {
  expect(() => readTable(name, content)).toThrow(message);
});

test("the text is the longest column, the colour one of few values", () => {
  const rows = Array.from({ length: 40 }, (_, i) => [`${i}`, `a text that is long ${i}`, ["x", "y"][i % 2]!]);
  const table = { name: "a.csv", columns: ["id", "text", "topic"], rows };
  expect(guessColumns(table)).toEqual({ text: 1, colour: 2 });
  expect(guessColumns({ ...table, rows: rows.map(([a, b]) => [a!, b!, a!]) })).toEqual({ text: 1, colour: undefined });
});

/** Eigenvalues and vectors of a symmetric matrix by Jacobi's rotations, greatest first. */
function eigen(matrix: number[][]): { value: number; vector: number[] }[] {
  const n = matrix.length;
  const a = matrix.map((row) => [...row]);
  const v = a.map((_, i) => a.map((_, j) => (i === j ? 1 : 0)));
  for (let sweep = 0; sweep < 60; sweep++) {
    for (let p = 0; p < n; p++) {
      for (let q = p + 1; q < n; q++) {
        const angle = 0.5 * Math.atan2(2 * a[p]![q]!, a[q]![q]! - a[p]![p]!);
        const [c, s] = [Math.cos(angle), Math.sin(angle)];
        for (const rows of [a, v]) {
          for (const row of rows) [row[p], row[q]] = [c * row[p]! - s * row[q]!, s * row[p]! + c * row[q]!];
        }
        for (let k = 0; k < n; k++) {
          [a[p]![k], a[q]![k]] = [c * a[p]![k]! - s * a[q]![k]!, s * a[p]![k]! + c * a[q]![k]!];
        }
      }
    }
  }
  const pairs = a.map((row, i) => ({ value: row[i]!, vector: v.map((row) => row[i]!) }));
  return pairs.sort((x, y) => y.value - x.value);
}

test("the map's axes are the two eigenvectors of the covariance, with their shares of the variance", () => {
  const [N, D] = [50, 7];
  const data = Float32Array.from(
    { length: N * D },
    (_, i) => 3 + Math.sin(i * 1.7) * (1 + (i % D)) + (i % 3) * (i % D === 2 ? 4 : 0),
  );
  const mean = Array.from({ length: D }, (_, k) => data.reduce((sum, x, i) => (i % D === k ? sum + x / N : sum), 0));
  const centred = Array.from({ length: N }, (_, i) => mean.map((m, k) => data[i * D + k]! - m));
  const covariance = mean.map((_, j) => mean.map((_, k) => centred.reduce((sum, row) => sum + row[j]! * row[k]!, 0)));
  const axes = eigen(covariance);
  const total = axes.reduce((sum, { value }) => sum + value, 0);

  const { points, shares } = principalComponents(data, D);
  for (const axis of [0, 1]) {
    expect(shares[axis]).toBeCloseTo(axes[axis]!.value / total, 6);
    const expected = centred.map((row) => row.reduce((sum, x, k) => sum + x * axes[axis]!.vector[k]!, 0));
    const sign = Math.sign(expected[0]! * points[axis]!);
    for (let i = 0; i < N; i++) expect(sign * points[2 * i + axis]!).toBeCloseTo(expected[i]!, 2);
  }
});

test("equal vectors lie on one point, and have no variance", () => {
  const { points, shares } = principalComponents(new Float32Array(12).fill(0.5), 3);
  expect([...points]).toEqual(new Array(8).fill(0));
  expect(shares).toEqual([0, 0]);
});

test("latencies between two looks at the metrics are those of the requests between them", () => {
  const page = (counts: number[]) =>
    `# TYPE te_request_duration histogram\n${["0.1", "0.2", "0.4", "+Inf"]
      .map((bound, i) => `te_request_duration_bucket{le="${bound}"} ${counts[i]}`)
      .join("\n")}\nneobert_tokens_total 7\nte_request_failure{err="late"} 2\n`;
  const before = parseMetrics(page([100, 100, 100, 100]), 1);
  const after = parseMetrics(page([100, 150, 199, 200]), 2);
  expect(after.values.get("neobert_tokens_total")).toBe(7);
  expect(after.values.get('te_request_failure err="late"')).toBe(2);
  expect(quantile(before, after, 0.5)).toBeCloseTo(0.2);
  expect(quantile(before, after, 0.25)).toBeCloseTo(0.15);
  expect(quantile(before, after, 0.995)).toBe(0.4); // beyond the last bound it is that bound at least
  expect(quantile(after, after, 0.5)).toBeNaN();
});

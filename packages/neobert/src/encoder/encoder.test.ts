// Oracles: hidden states of the model computed alone and pooled by a few lines here; properties that hold for every model.

import { rmSync, unlinkSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import type { EngineName } from "../engine/engine.js";
import { writeSafetensors } from "../files/safetensors.js";
import { type Embeddings, Encoder } from "./encoder.js";
import { wordsText, writeJson, writeSmallModel } from "./fixture-encoder.js";

const C = 32;
const sentenceFiles = {
  "modules.json": [
    { idx: 0, name: "0", path: "", type: "sentence_transformers.models.Transformer" },
    { idx: 1, name: "1", path: "1_Pooling", type: "sentence_transformers.models.Pooling" },
    { idx: 2, name: "2", path: "2_Normalize", type: "sentence_transformers.models.Normalize" },
  ],
  "1_Pooling/config.json": { word_embedding_dimension: C, pooling_mode_mean_tokens: true, include_prompt: false },
  "sentence_bert_config.json": { max_seq_length: 20, do_lower_case: true },
  "config_sentence_transformers.json": {
    prompts: { query: "query the house ", passage: "a law " },
    default_prompt_name: null,
    similarity_fn_name: "dot",
  },
};
const texts = Array.from({ length: 23 }, (_, i) => wordsText(1 + ((i * 11) % 29), i));

let plain: string;
let sentence: string;
beforeAll(async () => {
  plain = await writeSmallModel();
  sentence = await writeSmallModel({ files: sentenceFiles });
});
afterAll(() => {
  for (const folder of [plain, sentence]) rmSync(folder, { recursive: true });
});

test("an embedder's own longest text counts whatever its tokenizer's is, up to the positions that the model knows", async () => {
  const files = { "tokenizer_config.json": { model_max_length: 16 } };
  const longest = async (own: object) => {
    const folder = await writeSmallModel({ files: { ...own, ...files } });
    await using encoder = await Encoder.load(folder);
    return encoder.maxTokens;
  };
  expect(await longest({})).toBe(16);
  expect(await longest(sentenceFiles)).toBe(20);
  expect(await longest({ ...sentenceFiles, "sentence_bert_config.json": { max_seq_length: 600 } })).toBe(64);
});

const greatest = (a: ArrayLike<number>, b: ArrayLike<number>) =>
  Array.from(a, (value, i) => Math.abs(value - b[i]!)).reduce((x, y) => Math.max(x, y), 0);
const norm = (vector: Float32Array) => Math.hypot(...vector);

describe.each<EngineName>(["onnx", "torch"])("with engine %s", (engine) => {
  let encoder: Encoder;
  beforeAll(async () => {
    encoder = await Encoder.load(plain, { engine, batchTokens: 60 });
  });
  afterAll(() => encoder.dispose());

  test("a plain folder gives the mean over its tokens' vectors, not normalised", async () => {
    const tokens = await encoder.tokens(texts[3]!);
    const mean = Array.from(
      { length: C },
      (_, c) => [...tokens].reduce((sum, row) => sum + row[c]!, 0) / tokens.length,
    );
    const vector = await encoder.encode(texts[3]!);
    expect(greatest(vector, mean)).toBeLessThan(1e-5);
    expect(Math.abs(norm(vector) - 1)).toBeGreaterThan(0.1);
    expect(tokens.tokens.at(0)).toBe("[CLS]");
    expect(tokens.length).toBe(encoder.countTokens(texts[3]!));
  });

  test("a text has the same vector alone, in any batch, in any order", async () => {
    const together = await encoder.encode(texts);
    expect(together.shape).toEqual([texts.length, C]);
    const backwards = await encoder.encode(texts.toReversed());
    for (const [i, text] of texts.entries()) {
      expect(greatest(together.row(i), await encoder.encode(text))).toBeLessThan(1e-5);
      expect(greatest(together.row(i), backwards.row(texts.length - 1 - i))).toBeLessThan(1e-5);
      expect(together.tokenCounts[i]).toBe(encoder.countTokens(text));
    }
    expect(greatest(together.row(0), together.row(1))).toBeGreaterThan(0.1);
  });

  test("a stream of any chunk size gives the vectors of one call, in order", async () => {
    const whole = await encoder.encode(texts);
    const source = async function* () {
      yield* texts;
    };
    for (const [input, chunkTexts] of [
      [texts, 5],
      [source(), 23],
      [source(), 100],
    ] as const) {
      const rows: Float32Array[] = [];
      for await (const chunk of encoder.encodeStream(input, { chunkTexts })) rows.push(...chunk);
      expect(rows).toHaveLength(texts.length);
      for (const [i, row] of rows.entries()) expect(greatest(row, whole.row(i))).toBeLessThan(1e-5);
    }
  });
});

describe("a sentence-transformers folder", () => {
  let encoder: Encoder;
  let bare: Encoder;
  beforeAll(async () => {
    [encoder, bare] = await Promise.all([Encoder.load(sentence), Encoder.load(plain)]);
  });
  afterAll(() => Promise.all([encoder.dispose(), bare.dispose()]));

  test("says the longest text, lower case, similarity and length 1", async () => {
    expect(encoder.maxTokens).toBe(20);
    expect(encoder.similarityFunction).toBe("dot");
    const vectors = await encoder.encode(texts);
    expect(Math.max(...vectors.tokenCounts)).toBe(20);
    for (const row of vectors) expect(norm(row)).toBeCloseTo(1, 5);
    expect(greatest(await encoder.encode("THE House"), await encoder.encode("the house"))).toBe(0);
    expect(await encoder.encode(texts[0]!, { normalize: false })).not.toEqual(await encoder.encode(texts[0]!));
  });

  test("a role chooses the prompt, whose tokens and [CLS] are left out of the mean", async () => {
    const text = "free states in peace";
    const full = await bare.tokens(`query the house ${text}`);
    const skip = bare.countTokens("query the house") - 1;
    const rows = [...full].slice(skip);
    const mean = Float32Array.from({ length: C }, (_, c) => rows.reduce((sum, row) => sum + row[c]! / rows.length, 0));
    const unit = mean.map((value) => value / norm(mean));
    const query = await encoder.encode(text, { role: "query" });
    expect(greatest(query, unit)).toBeLessThan(1e-5);
    expect(await encoder.encode(text, { promptName: "query" })).toEqual(query);
    expect(await encoder.encode(text, { prompt: "query the house " })).toEqual(query);
    expect(await encoder.encode(text, { role: "document" })).toEqual(await encoder.encode(text, { prompt: "a law " }));
    expect(greatest(await encoder.encode(text), query)).toBeGreaterThan(1e-3);
    await expect(encoder.encode(text, { promptName: "title" })).rejects.toThrow(
      'encode: expected promptName among the model\'s (query, passage), got "title"',
    );
  });

  test("fewer dimensions are the first ones, normalised anew", async () => {
    const whole = await encoder.encode(texts[4]!);
    const first = whole.slice(0, 12);
    const some = await encoder.encode(texts[4]!, { dimensions: 12 });
    expect(
      greatest(
        some,
        first.map((value) => value / norm(first)),
      ),
    ).toBeLessThan(1e-6);
    expect(await encoder.encode(texts[4]!, { dimensions: 12, normalize: false })).toEqual(
      (await encoder.encode(texts[4]!, { normalize: false })).slice(0, 12),
    );
    await expect(encoder.encode(texts[4]!, { dimensions: 40 })).rejects.toThrow("dimensions from 1 to 32, got 40");
  });

  test("int8 takes its ranges from the calibration given, so a text's vector is the same in every batch", async () => {
    const ranges = await encoder.calibrate(texts);
    const together = await encoder.encode(texts, { output: "int8", ranges });
    expect(together.data).toBeInstanceOf(Int8Array);
    const calibrations = [{ ranges }, { calibration: texts }, { calibration: await encoder.encode(texts) }];
    for (const calibration of calibrations) {
      const alone = await encoder.encode(texts[7]!, { output: "int8", ...calibration });
      // The float vectors are equal to rounding only, which may move a level by one.
      expect(greatest(alone, together.row(7))).toBeLessThanOrEqual(1);
    }
    expect([Math.min(...together.data), Math.max(...together.data)]).toEqual([-128, 127]);
    await expect(encoder.encode(texts, { output: "int8" })).rejects.toThrow("ranges or calibration texts");
  });

  test("binary vectors have a bit a dimension, and an empty list has the shape of none", async () => {
    const vectors = await encoder.encode(texts, { output: "ubinary" });
    expect(vectors.shape).toEqual([texts.length, C / 8]);
    const float = await encoder.encode(texts[2]!);
    const bits = [...vectors.row(2)].map((byte) => byte.toString(2).padStart(8, "0")).join("");
    expect(bits).toBe([...float].map((value) => (value > 0 ? 1 : 0)).join(""));
    expect((await encoder.encode([])).shape).toEqual([0, C]);
    expect(() => encoder.similarity(vectors, vectors)).toThrow('expected output "float" or "int8", got "ubinary"');
  });

  test("similarity is the dot product here, for rows and for two vectors", async () => {
    const [a, b] = [await encoder.encode(texts.slice(0, 4)), await encoder.encode(texts.slice(4, 7))];
    const scores = encoder.similarity(a, b);
    expect(scores.shape).toEqual([4, 3]);
    const expected = a.row(2).reduce((sum, value, c) => sum + value * b.row(1)[c]!, 0);
    expect(scores.row(2)[1]).toBeCloseTo(expected, 6);
    expect(encoder.similarity(a.row(2), b.row(1))).toBeCloseTo(expected, 6);
  });
});

test("a Dense module maps the pooled vector by its weights and activation", async () => {
  const weight = Float32Array.from({ length: 6 * C }, (_, i) => Math.sin(i));
  const bias = Float32Array.from({ length: 6 }, (_, i) => i / 10);
  const folder = await writeSmallModel({
    files: {
      ...sentenceFiles,
      "modules.json": [
        ...sentenceFiles["modules.json"].slice(0, 2),
        { idx: 2, name: "2", path: "2_Dense", type: "sentence_transformers.models.Dense" },
      ],
      "2_Dense/config.json": {
        in_features: C,
        out_features: 6,
        bias: true,
        activation_function: "torch.nn.modules.activation.Tanh",
      },
    },
  });
  writeSafetensors(join(folder, "2_Dense", "model.safetensors"), [
    { name: "linear.weight", dtype: "F32", shape: [6, C], data: weight },
    { name: "linear.bias", dtype: "F32", shape: [6], data: bias },
  ]);
  await using encoder = await Encoder.load(folder);
  await using bare = await Encoder.load(plain);
  const pooled = await bare.encode("the law");
  const expected = Array.from({ length: 6 }, (_, o) =>
    Math.tanh(pooled.reduce((sum, x, i) => sum + x * weight[o * C + i]!, bias[o]!)),
  );
  expect(encoder.dimension).toBe(6);
  expect(greatest(await encoder.encode("the law"), expected)).toBeLessThan(1e-5);
  rmSync(folder, { recursive: true });
});

describe("calls", () => {
  let encoder: Encoder;
  beforeAll(async () => {
    encoder = await Encoder.load(plain, { batchTokens: 40 });
  });
  afterAll(() => encoder.dispose());

  test("are served side by side, and tell how far they are", async () => {
    const progress: number[] = [];
    const onProgress = ({ done }: { done: number }) => progress.push(done);
    const large = encoder.encode(
      Array.from({ length: 300 }, (_, i) => texts[i % 23]!),
      { onProgress },
    );
    const [vectors, small] = await Promise.all([large, encoder.encode("the")]);
    expect(vectors.length).toBe(300);
    expect(small.length).toBe(encoder.dimension);
    expect(progress.at(-1)).toBe(300);
    expect(progress).toEqual(progress.toSorted((a, b) => a - b));
  });

  test("stop between runs when they are aborted, and leave the encoder usable", async () => {
    const controller = new AbortController();
    let done = 0;
    const stopped = encoder.encode(
      Array.from({ length: 2000 }, (_, i) => texts[i % 23]!),
      {
        signal: controller.signal,
        onProgress: (progress) => {
          done = progress.done;
          controller.abort(new Error("enough"));
        },
      },
    );
    await expect(stopped).rejects.toThrow("enough");
    expect(done).toBeLessThan(100);
    expect((await encoder.encode("the")).length).toBe(C);
    await expect(encoder.encode("the", { signal: AbortSignal.abort(new Error("never")) })).rejects.toThrow("never");
  });

  test("name what is no text, and a text that the model refuses", async () => {
    await expect(encoder.encode(["a", 3 as unknown as string])).rejects.toThrow(
      "encode: expected a text at index 1, got number",
    );
    const stream = encoder.encodeStream(["a", "b", null as unknown as string], { chunkTexts: 2 });
    const drain = async () => {
      for await (const _ of stream);
    };
    await expect(drain()).rejects.toThrow("expected a text at index 2, got null");
    await expect(encoder.encode("a", { maxTokens: 65 })).rejects.toThrow("at most the model's 64 positions, got 65");
    await expect(encoder.encode("a", { maxTokens: 2 })).rejects.toThrow("above the 2 special tokens, got 2");
    // A vocabulary with a word that the model has no row for.
    const folder = await writeSmallModel();
    const tokenizer = JSON.parse(JSON.stringify(encoder.tokenizer.toJSON()));
    tokenizer.added_tokens.push({ id: 5000, content: "zebra", normalized: false, special: false });
    writeJson(folder, "tokenizer.json", tokenizer);
    await using other = await Encoder.load(folder);
    await expect(other.encode(["the law", "a zebra", "peace"])).rejects.toThrow(
      /^encode: text 1 \("a zebra"\): expected tokens with ids below the model's vocab_size 90, got zebra, id 5000\n/,
    );
    rmSync(folder, { recursive: true });
  });

  test("are refused after dispose, which waits for those before it", async () => {
    const short = await Encoder.load(plain);
    const before = short.encode(texts);
    await new Promise((resolve) => setTimeout(resolve, 20));
    await Promise.all([short.dispose(), short.dispose()]);
    expect((await before).length).toBe(texts.length);
    await expect(short.encode("a")).rejects.toThrow(
      "encode: expected a loaded model, got one that has been disposed of",
    );
  });
});

test.each(["onnx", "torch"] as const)(
  "an encoder in the calling thread gives what one in a worker does: %s",
  async (engine) => {
    const texts = ["A cat sat.", "", "Birds sing in the trees at dawn, and nobody listens.", "b"];
    await using inWorker = await Encoder.load(plain, { engine, threads: 1 });
    const here = await Encoder.load(plain, { engine, threads: 1, worker: false });
    const [expected, got] = [await inWorker.encode(texts), await Promise.all(texts.map((text) => here.encode(text)))];
    for (const [i, vector] of got.entries()) {
      for (const [j, value] of vector.entries()) expect(value).toBeCloseTo(expected.data[i * vector.length + j]!, 5);
    }
    await here.dispose();
    await expect(here.encode("a")).rejects.toThrow("got one that has been disposed of");
    await expect(Encoder.load(join(plain, "absent"), { engine, worker: false })).rejects.toThrow(/absent/);
  },
);

describe("loading refuses", () => {
  test("pairs of engine and type that do not go together, in one sentence", async () => {
    await expect(Encoder.load(plain, { dtype: "bf16" })).rejects.toThrow(
      'Encoder.load: expected engine "torch" for dtype "bf16", got "onnx"',
    );
    await expect(Encoder.load(plain, { dtype: "auto" })).rejects.toThrow(
      'expected engine "torch" for dtype "auto", got "onnx"',
    );
    await expect(Encoder.load(plain, { engine: "tpu" as "onnx" })).rejects.toThrow('engine "onnx" or "torch"');
    await expect(Encoder.load(plain, { device: "cuda:1" })).rejects.toThrow(
      'expected engine "torch" for device "cuda:1", got "onnx"',
    );
    await expect(Encoder.load(plain, { engine: "torch", device: "gpu" as "cpu" })).rejects.toThrow(
      'Encoder.load: expected device cpu, cuda, cuda:0 and its like, or auto, got "gpu"',
    );
    await expect(Encoder.load(plain, { dtype: "fp8" as "fp32" })).rejects.toThrow(
      'dtype "fp32", "bf16", "int8" or "auto"',
    );
  });

  test("modules that are not known, by name", async () => {
    const folder = await writeSmallModel({ files: sentenceFiles });
    const modules = [...sentenceFiles["modules.json"], { type: "sentence_transformers.models.WordWeights", path: "3" }];
    writeJson(folder, "modules.json", modules);
    await expect(Encoder.load(folder)).rejects.toThrow(
      /modules.json: expected modules Transformer, Pooling, Dense and Normalize, got WordWeights/,
    );
    rmSync(folder, { recursive: true });
  });

  test("modules outside the folder, and a modules.json that is no list of modules", async () => {
    const folder = await writeSmallModel({ files: sentenceFiles });
    const [transformer, pooling] = sentenceFiles["modules.json"];
    for (const path of ["../../other", "1_Pooling/../../other", "/other", "C:\\other"]) {
      writeJson(folder, "modules.json", [transformer, { ...pooling, path }]);
      await expect(Encoder.load(folder)).rejects.toThrow(`modules.json: expected paths inside the folder, got ${path}`);
    }
    for (const [list, complaint] of [
      [{}, "expected array, got {}"],
      [[], "expected array to have >=1 items, got []"],
      [[{ type: "Transformer" }], "0.path: expected string, got nothing"],
    ] as const) {
      writeJson(folder, "modules.json", list);
      await expect(Encoder.load(folder)).rejects.toThrow(`modules.json: ${complaint}`);
    }
    rmSync(folder, { recursive: true });
  });

  test("a folder with pickled weights only, saying how to convert them", async () => {
    const folder = await writeSmallModel();
    unlinkSync(join(folder, "model.safetensors"));
    writeFileSync(join(folder, "pytorch_model.bin"), "");
    for (const engine of ["onnx", "torch"] as const) {
      await expect(Encoder.load(folder, { engine })).rejects.toThrow(/got pytorch_model.bin\n.*Convert them once/s);
    }
    rmSync(folder, { recursive: true });
  });
});

test("with newer pooling settings, and several modes, vectors stand side by side", async () => {
  const folder = await writeSmallModel({
    files: {
      ...sentenceFiles,
      "modules.json": sentenceFiles["modules.json"].slice(0, 2),
      "1_Pooling/config.json": { embedding_dimension: C, pooling_mode: ["max", "cls"] },
    },
  });
  await using encoder = await Encoder.load(folder);
  const tokens = await encoder.tokens("the law of the house");
  const vector = await encoder.encode("the law of the house");
  expect(encoder.dimension).toBe(2 * C);
  expect(greatest(vector.subarray(C), tokens.row(0))).toBeLessThan(1e-6);
  const max = Array.from({ length: C }, (_, c) => Math.max(...[...tokens].map((row) => row[c]!)));
  expect(greatest(vector.subarray(0, C), max)).toBeLessThan(1e-6);
  const { length }: Embeddings = await encoder.encode(["a", "b"], { pooling: ["mean", "lasttoken", "weightedmean"] });
  expect(length).toBe(2);
  rmSync(folder, { recursive: true });
});

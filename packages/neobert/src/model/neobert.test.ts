import { fileURLToPath } from "node:url";
import { describe, expect, test } from "vitest";
import { openCheckpoint } from "../files/weight-files.js";
import type { Head } from "./architecture.js";
import { architectureOf } from "./architectures.js";
import { neobert, parseNeoBERTConfig } from "./neobert.js";

const golden = (path: string) => fileURLToPath(new URL(`../../../../test/golden/neobert/${path}`, import.meta.url));
const readConfig = async (variant: string) =>
  (await import(golden(`${variant}/config.json`), { with: { type: "json" } })).default;

// The config.json of chandar-lab/NeoBERT on the Hub.
const released = {
  architectures: ["NeoBERTLMHead"],
  auto_map: { AutoConfig: "model.NeoBERTConfig" },
  classifier_init_range: 0.02,
  decoder_init_range: 0.02,
  dim_head: 64,
  embedding_init_range: 0.02,
  hidden_size: 768,
  intermediate_size: 3072,
  kwargs: { classifier_init_range: 0.02, pretrained_model_name_or_path: "google-bert/bert-base-uncased" },
  max_length: 4096,
  model_type: "neobert",
  norm_eps: 1e-5,
  num_attention_heads: 12,
  num_hidden_layers: 28,
  pad_token_id: 0,
  torch_dtype: "float32",
  transformers_version: "4.48.2",
  vocab_size: 30522,
};

const numel = (shape: number[]) => shape.reduce((product, size) => product * size, 1);

describe("NeoBERTConfig", () => {
  test("the released config.json keeps every field and value it has", () => {
    expect(parseNeoBERTConfig(released)).toMatchObject(released);
  });

  test("a field left out gets the published class's default, not the released model's value", () => {
    const config = parseNeoBERTConfig({ model_type: "neobert" });
    expect([config.norm_eps, config.max_length, config.vocab_size, config.dim_head]).toEqual([1e-6, 1024, 30522, 64]);
  });

  test("parsing what was parsed changes nothing", () => {
    const once = parseNeoBERTConfig(released);
    expect(parseNeoBERTConfig(JSON.parse(JSON.stringify(once)))).toEqual(once);
  });

  test("the reference's spelling SwiGLU is understood", () => {
    expect(parseNeoBERTConfig({ hidden_act: "SwiGLU" }).hidden_act).toBe("swiglu");
  });

  test("all wrong fields are named in one error", () => {
    const wrong = { hidden_size: "768", num_hidden_layers: 0, hidden_act: "relu" };
    expect(() => parseNeoBERTConfig(wrong)).toThrow(/hidden_size.*num_hidden_layers.*hidden_act/s);
  });

  test.each([
    [{ hidden_size: 100, num_attention_heads: 12 }, /multiple of num_attention_heads, got 100 and 12/],
    [{ dim_head: 32 }, /dim_head to be .* 64, got 32/],
    [{ hidden_size: 36, num_attention_heads: 12 }, /even head width/],
    [{ pad_token_id: 30522 }, /pad_token_id below vocab_size/],
  ])("fields that do not go together are refused: %j", (config, message) => {
    expect(() => parseNeoBERTConfig(config)).toThrow(message);
  });

  test("an unknown model_type names the known ones", () => {
    expect(() => architectureOf({ model_type: "gpt2" })).toThrow(/one of neobert, .*, got "gpt2"/);
  });
});

describe("NeoBERT's parameters", () => {
  test("the released config gives the published 172 tensors and 245,136,954 values", () => {
    const specs = neobert.parameters(parseNeoBERTConfig(released), "maskedLM");
    expect(specs).toHaveLength(172);
    expect(specs.reduce((sum, { shape }) => sum + numel(shape), 0)).toBe(245_136_954);
  });

  test.each<[string, string, Head]>([
    ["base", "base", "maskedLM"],
    ["m0", "m0", "maskedLM"],
    ["ngpt", "ngpt", "maskedLM"],
    ["ngpt-own", "ngpt-own", "maskedLM"],
    ["base", "classification", "sequenceClassification"],
  ])("config %s has the names and shapes of the checkpoint %s", async (variant, folder, head) => {
    const config = parseNeoBERTConfig({ ...(await readConfig(variant)), num_labels: 3 });
    const checkpoint = openCheckpoint(golden(`${folder}/model.safetensors`));
    const published = checkpoint.names().map((name) => [name, checkpoint.info(name).shape] as const);
    checkpoint.close();
    const ours = neobert.parameters(config, head).map(({ name, shape }) => [name, shape] as const);
    expect(new Map(ours)).toEqual(new Map(published));
  });
});

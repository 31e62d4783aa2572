import { spawnSync } from "node:child_process";
import { fileURLToPath } from "node:url";
import { version } from "@neobert/torch";
import { expect, test } from "vitest";
import type { Finding } from "./doctor.js";

const program = fileURLToPath(new URL("../../bin/neobert.js", import.meta.url));

function doctor(env: Record<string, string> = {}): { status: number | null; findings: Finding[] } {
  const options = { encoding: "utf8", env: { ...process.env, ...env } } as const;
  const { status, stdout } = spawnSync(process.execPath, [program, "doctor", "--json"], options);
  return { status, findings: JSON.parse(stdout) };
}

const foundOf = (findings: Finding[], name: string) => findings.find((finding) => finding.name === name)!;

test("both engines, the processor and the caches are found", () => {
  const { status, findings } = doctor({ HF_HUB_CACHE: "/elsewhere/hub", HF_TOKEN: "hf_secret", HF_HUB_OFFLINE: "1" });
  expect(status).toBe(0);
  expect(foundOf(findings, "libtorch").found).toContain(version());
  expect(foundOf(findings, "ONNX Runtime").found).toMatch(/^\d+\.\d+\.\d+/);
  expect(foundOf(findings, "cores").found).toMatch(/^\d+ to compute with/);
  expect(foundOf(findings, "Hub").found).toBe("/elsewhere/hub, a token, offline by the environment");
  expect(JSON.stringify(findings)).not.toContain("hf_secret");
  expect(findings.filter(({ found }) => found.includes("/elsewhere/hub"))).toHaveLength(2);
});

test("an addon that lacks is told with the way out, and the other engine still counts", () => {
  const { status, findings } = doctor({ NEOBERT_ADDON: "/nowhere/torch.node" });
  expect(status).toBe(0);
  const { found, remedy } = foundOf(findings, "libtorch");
  expect(found).toContain("/nowhere/torch.node");
  expect(remedy).toContain("setup-torch");
});

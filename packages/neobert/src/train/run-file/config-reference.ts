// The table of all options of a run file, written from its schema: `neobert pretrain --help-config` and the like, and docs/.

import { z } from "zod";
import { runSchema } from "./config-schema.js";

interface Schema {
  type?: string;
  description?: string;
  default?: unknown;
  /** Shown in place of a default that depends on other options or on the machine. */
  fallback?: string;
  enum?: string[];
  properties?: Record<string, Schema>;
  required?: string[];
  items?: Schema;
  prefixItems?: Schema[];
}

function typeOf(schema: Schema): string {
  if (schema.enum) return schema.enum.map((value) => `\`${value}\``).join(", ");
  if (schema.prefixItems) return `${schema.prefixItems.length} numbers`;
  const names: Record<string, string> = {
    integer: "whole number",
    string: "text",
    boolean: "true, false",
    array: "list",
  };
  return schema.type === "object" ? "" : (names[schema.type ?? ""] ?? schema.type ?? "");
}

function rows(schema: Schema, prefix: string): string[] {
  return Object.entries(schema.properties ?? {}).flatMap(([key, option]) => {
    const name = prefix + key;
    const hasDefault = option.default !== undefined && option.type !== "object";
    const fallback = option.fallback ?? (hasDefault ? `\`${JSON.stringify(option.default)}\`` : "");
    const isNeeded = schema.required?.includes(key);
    const cells = [`\`${name}\``, typeOf(option), isNeeded ? "needed" : fallback, option.description ?? ""];
    const below = option.type === "array" ? rows(option.items ?? {}, `${name}.0.`) : rows(option, `${name}.`);
    return [`| ${cells.join(" | ")} |`, ...below];
  });
}

/** A markdown table of every option: dotted key, type, default, meaning. */
export function configReference(options: z.ZodType = runSchema): string {
  const schema = z.toJSONSchema(options, { unrepresentable: "any", io: "input" }) as Schema;
  return ["| Option | Type | Default | Meaning |", "|---|---|---|---|", ...rows(schema, "")].join("\n");
}

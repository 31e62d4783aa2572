// The OpenAPI 3.1 document of the table of routes: bodies and answers are the routes' own schemas as JSON Schema.

import { z } from "zod";
import { packageVersion } from "../files/package.js";
import type { OpenApiDocument } from "./docs-page.js";
import type { Route } from "./route.js";

const flat = { message: z.string(), code: z.int(), type: z.string() };
const detail = z.object({
  message: z.string(),
  type: z.string(),
  param: z.string().nullable(),
  code: z.string().nullable(),
});
const errorSchemas = {
  tei: z.object({ error: z.string(), error_type: z.string(), ...flat }),
  openai: z.object({ error: detail, ...flat }),
  plain: z.object({ error: z.string() }),
};

export function openApi(routes: readonly Route[]): OpenApiDocument {
  const paths: OpenApiDocument["paths"] = {};
  for (const { path, method, rows } of operationsOf(routes)) {
    const bodies = rows.flatMap(({ body }) => (body ? [schemaOf(body, "input")] : []));
    const answers = rows.flatMap(({ answer }) => (answer ? [schemaOf(answer, "output")] : []));
    const json = (schemas: object[]) => ({ "application/json": { schema: oneOf(schemas) } });
    paths[path] ??= {};
    paths[path][method.toLowerCase()] = {
      summary: [...new Set(rows.map(({ summary }) => summary))].join(" "),
      ...(!rows[0]!.isOpen && { security: [{ key: [] }] }),
      ...(bodies.length > 0 && { requestBody: { required: true, content: json(bodies) } }),
      responses: {
        200: { description: "The answer.", ...(answers.length > 0 && { content: json(answers) }) },
        default: {
          description: "Why there is none.",
          content: json([schemaOf(errorSchemas[rows[0]!.family], "output")]),
        },
      },
    };
  }
  return {
    openapi: "3.1.0",
    info: { title: "NeoBERT", version: packageVersion() },
    paths,
    components: { securitySchemes: { key: { type: "http", scheme: "bearer" } } },
  };
}

function operationsOf(routes: readonly Route[]) {
  const operations = new Map<string, { path: string; method: string; rows: Route[] }>();
  for (const row of routes) {
    for (const path of row.paths) {
      const key = `${row.method} ${path}`;
      const operation = operations.get(key) ?? { path, method: row.method, rows: [] };
      operation.rows.push(row);
      operations.set(key, operation);
    }
  }
  return operations.values();
}

function schemaOf(schema: z.ZodType, io: "input" | "output"): object {
  const { $schema: _, ...rest } = z.toJSONSchema(schema, { io, unrepresentable: "any" });
  return rest;
}

function oneOf(schemas: object[]): object {
  return schemas.length === 1 ? schemas[0]! : { anyOf: schemas };
}

// GET /docs: the OpenAPI document as a page to read, made of HTML alone: it loads nothing and runs nothing.

interface Operation {
  summary: string;
  security?: object[];
  requestBody?: { required: boolean; content: Record<string, { schema: object }> };
  responses: Record<string, { description: string; content?: Record<string, { schema: object }> }>;
}

export interface OpenApiDocument {
  openapi: string;
  info: { title: string; version: string };
  paths: Record<string, Record<string, Operation>>;
  components: object;
}

const STYLE = `
:root { color-scheme: light dark; }
body { font: 16px/1.5 system-ui, sans-serif; max-width: 60rem; margin: 2rem auto; padding: 0 1rem; }
code, pre { font: 14px/1.4 ui-monospace, monospace; }
pre { overflow-x: auto; padding: 0.5rem; border: 1px solid; border-radius: 4px; }
summary { cursor: pointer; padding: 0.25rem 0; }
`;

export function docsPage({ info, paths }: OpenApiDocument): Response {
  const rows = Object.entries(paths).flatMap(([path, methods]) =>
    Object.entries(methods).map(([method, operation]) => operationHtml(method.toUpperCase(), path, operation)),
  );
  const title = escaped(`${info.title} ${info.version}`);
  const html = `<!doctype html>
<html lang="en"><head><meta charset="utf-8"><meta name="viewport" content="width=device-width">
<title>${title}: routes</title><style>${STYLE}</style></head>
<body><h1>${title}</h1>
<p>The routes and their JSON Schemas; <a href="openapi.json">openapi.json</a> has the same for programs.</p>
${rows.join("\n")}
</body></html>
`;
  const headers = {
    "content-type": "text/html; charset=utf-8",
    "content-security-policy": "default-src 'none'; style-src 'unsafe-inline'; base-uri 'none'; form-action 'none'",
    "x-content-type-options": "nosniff",
  };
  return new Response(html, { headers });
}

function operationHtml(method: string, path: string, { summary, security, requestBody, responses }: Operation): string {
  const body = requestBody?.content["application/json"]?.schema;
  const answer = responses["200"]?.content?.["application/json"]?.schema;
  const key = security ? "" : " (no key needed)";
  const schema = (name: string, value: object | undefined) =>
    value ? `<h2>${name}</h2><pre>${escaped(JSON.stringify(value, undefined, 2))}</pre>` : "";
  return `<details><summary><code>${method} ${escaped(path)}</code> ${escaped(summary)}${key}</summary>
${schema("Body", body)}${schema("Answer", answer)}</details>`;
}

function escaped(text: string): string {
  return text.replace(/[&<>"]/g, (character) => `&#${character.charCodeAt(0)};`);
}

// All routes. Where rows share a path, the first whose `when` fits the body answers.

import { cohereRoutes } from "./cohere-routes.js";
import { ollamaRoutes } from "./ollama-routes.js";
import { openaiRoutes } from "./openai-routes.js";
import { ownRoutes } from "./own-routes.js";
import { pageRoutes } from "./page-routes.js";
import { rerankRoutes } from "./rerank-routes.js";
import type { Route } from "./route.js";
import { statusRoutes } from "./status-routes.js";
import { teiRoutes } from "./tei-routes.js";
import { vllmRoutes } from "./vllm-routes.js";
import { weaviateRoutes } from "./weaviate-routes.js";

export const routes: readonly Route[] = [
  ...statusRoutes,
  ...pageRoutes,
  ...teiRoutes,
  ...openaiRoutes,
  ...vllmRoutes,
  ...rerankRoutes,
  ...cohereRoutes,
  ...ollamaRoutes,
  ...weaviateRoutes,
  ...ownRoutes,
];

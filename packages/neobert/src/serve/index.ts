// The public surface of `neobert/serve`: encoders behind HTTP.

export type { HandlerOptions, RequestRecord } from "./serve-options.js";
export { LaterModel, type Part, type ServedModel } from "./served-models.js";
export { type RunningServer, type ServerOptions, serve } from "./server.js";
export { createHandler, type Handler } from "./service.js";

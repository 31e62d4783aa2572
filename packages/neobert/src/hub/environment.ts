// What the environment says about the Hub, by the variables that Python's huggingface_hub documents: where the cache and the
// login are (`~` and $VARIABLES are written out, as there), whether the Hub may be asked, which token goes with a request,
// and through which proxy requests go.

import { readFileSync } from "node:fs";
import { homedir } from "node:os";
import { join } from "node:path";
import { shown } from "../files/checked.js";

type Environment = Readonly<Record<string, string | undefined>>;

/** The cache's folder: HF_HUB_CACHE, else `hub` under HF_HOME, else under XDG_CACHE_HOME or ~/.cache. */
export function hubCachePath(env: Environment = process.env): string {
  const named = env.HF_HUB_CACHE || env.HUGGINGFACE_HUB_CACHE;
  return named ? writtenOut(named, env) : join(huggingFaceHome(env), "hub");
}

/** The Hub's address where HF_ENDPOINT names another, without a slash at its end. Throws where that is none. */
export function hubAddress(env: Environment = process.env): string | undefined {
  const given = env.HF_ENDPOINT?.trim().replace(/\/+$/, "");
  if (!given || (/^https?:/i.test(given) && URL.canParse(given))) return given || undefined;
  throw new Error(
    `HF_ENDPOINT: expected an address that begins with http:// or https://, got ${shown(given)}\nCorrect the variable, or unset it.`,
  );
}

/** Whether HF_HUB_OFFLINE or TRANSFORMERS_OFFLINE forbids requests. */
export function isOffline(env: Environment = process.env): boolean {
  return isTrue(env.HF_HUB_OFFLINE || env.TRANSFORMERS_OFFLINE);
}

/** The access token: HF_TOKEN, else what `hf auth login` left; undefined where there is none or it is not to be sent. */
export function accessToken(env: Environment = process.env): string | undefined {
  if (isTrue(env.HF_HUB_DISABLE_IMPLICIT_TOKEN)) return undefined;
  const named = (env.HF_TOKEN || env.HUGGING_FACE_HUB_TOKEN)?.trim();
  if (named) return named;
  const path = env.HF_TOKEN_PATH ? writtenOut(env.HF_TOKEN_PATH, env) : join(huggingFaceHome(env), "token");
  try {
    return readFileSync(path, "utf8").trim() || undefined;
  } catch {
    return undefined; // not logged in
  }
}

/**
 * `fetch` for requests to `hubUrl`: through the proxy of HTTPS_PROXY, HTTP_PROXY, ALL_PROXY and NO_PROXY, ended by
 * `signal`, and with the token, which goes to the Hub's own address alone.
 */
export async function hubFetch(hubUrl: string, signal?: AbortSignal, env = process.env): Promise<typeof fetch> {
  const token = accessToken(env);
  const { origin } = new URL(hubUrl);
  const send = await proxiedFetch(env);
  return (input, init = {}) => {
    const url = input instanceof Request ? input.url : String(input);
    const headers = new Headers(init.headers);
    if (token && !headers.has("authorization") && new URL(url).origin === origin) {
      headers.set("authorization", `Bearer ${token}`);
    }
    return send(input, { ...init, headers, ...(signal && { signal }) });
  };
}

/** Node's own fetch knows no proxies before version 24: where one is named, undici's does the work. */
async function proxiedFetch(env: Environment): Promise<typeof fetch> {
  const all = env.all_proxy || env.ALL_PROXY;
  const httpProxy = proxyAddress(env.http_proxy || env.HTTP_PROXY || all);
  const httpsProxy = proxyAddress(env.https_proxy || env.HTTPS_PROXY || all);
  if (!httpProxy && !httpsProxy) return fetch;
  const undici = await import("undici");
  const noProxy = env.no_proxy || env.NO_PROXY || "";
  const dispatcher = new undici.EnvHttpProxyAgent({
    noProxy,
    ...(httpProxy && { httpProxy }),
    ...(httpsProxy && { httpsProxy }),
  });
  const send = undici.fetch as unknown as (url: string, init: object) => Promise<Response>;
  return (input, init) => send(input instanceof Request ? input.url : String(input), { ...init, dispatcher });
}

/** As curl and Python read it, HOST:PORT is a proxy that speaks HTTP. */
function proxyAddress(given: string | undefined): string | undefined {
  const address = given && !given.includes("://") ? `http://${given}` : given;
  if (!address || (/^https?:/i.test(address) && URL.canParse(address))) return address;
  throw new Error(
    `HTTPS_PROXY: expected the address of a proxy, as http://HOST:PORT, got ${shown(given)}\nCorrect or unset it, HTTP_PROXY and ALL_PROXY too.`,
  );
}

function huggingFaceHome(env: Environment): string {
  if (env.HF_HOME) return writtenOut(env.HF_HOME, env);
  return join(env.XDG_CACHE_HOME ? writtenOut(env.XDG_CACHE_HOME, env) : join(homedir(), ".cache"), "huggingface");
}

/** A path with `~` at its beginning and $NAME or ${NAME} in it; names that are not set stay as they are. */
function writtenOut(path: string, env: Environment): string {
  const home = path.replace(/^~(?=$|[/\\])/, () => homedir());
  return home.replace(/\$(?:(\w+)|\{(\w+)\})/g, (text, plain, braced) => env[plain ?? braced] ?? text);
}

function isTrue(value: string | undefined): boolean {
  return /^(1|true|yes|on)$/i.test(value ?? "");
}

// Addresses of files that are read where they are, not downloaded: `hf://datasets/OWNER/NAME[@REVISION]/FOLDER` on the Hub,
// at the commit that the revision has now, so that all its files are of one state; or a folder at any http(s) address.

import { InputError } from "../files/input-error.js";
import { isHash } from "./cache.js";
import { hubFetch, isOffline } from "./environment.js";

export const isAddress = (path: string): boolean => /^(hf|https?):\/\//.test(path);

export interface OpenAddress {
  /** The folder's URL, without a slash at its end. */
  url: string;
  /** With the Hub's token, for the Hub, and through the proxy that the environment names. */
  fetch: typeof fetch;
}

/** Throws where the Hub is not to be asked, or does not know the data set. */
export async function openAddress(address: string): Promise<OpenAddress> {
  const trimmed = address.replace(/\/+$/, "");
  const { HUB_URL, datasetInfo } = await import("@huggingface/hub");
  const hubUrl = (process.env.HF_ENDPOINT || HUB_URL).replace(/\/+$/, "");
  const send = await hubFetch(hubUrl);
  if (!trimmed.startsWith("hf://")) return { url: trimmed, fetch: send };
  const [, name, revision = "main", folder = ""] =
    /^hf:\/\/datasets\/([\w-][\w.-]*\/[\w-][\w.-]*)(?:@([^/]+))?(\/.+)?$/.exec(trimmed) ?? [];
  if (name === undefined) {
    throw new InputError(`${address}: expected hf://datasets/OWNER/NAME[@REVISION]/FOLDER, got another form`);
  }
  if (isOffline()) {
    throw new Error(
      `${address}: expected a local folder, since HF_HUB_OFFLINE (or TRANSFORMERS_OFFLINE) is set, got an address\n` +
        "Unset it, or download the folder and name it.",
    );
  }
  let commit: unknown;
  try {
    commit = isHash(revision)
      ? revision
      : (await datasetInfo({ name, revision, hubUrl, fetch: send, additionalFields: ["sha"] })).sha;
  } catch (error) {
    const { message, cause } = error as Error;
    throw new Error(
      `${address}: expected a data set (revision ${revision}) at ${hubUrl}, got ${cause instanceof Error ? cause.message || message : message}\n` +
        "Check the name, the network and HF_ENDPOINT; a private or gated data set needs a token (HF_TOKEN).",
    );
  }
  if (!isHash(commit)) {
    throw new Error(`${address}: expected a commit of ${revision} from ${hubUrl}, got none\nCheck HF_ENDPOINT.`);
  }
  return { url: `${hubUrl}/datasets/${name}/resolve/${commit}${folder}`, fetch: send };
}

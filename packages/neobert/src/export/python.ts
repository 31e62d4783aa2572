// How Python loads a folder that is written here, as its README.md says it.

import type { Head, ModelArchitecture } from "../model/index.js";

/** A sentence: transformers' own class, from which version on, or code that is kept elsewhere. */
export function loadedByPython({ classNames, python }: ModelArchitecture, head: Head): string {
  if ("remoteCode" in python) {
    return `Python's transformers reads this folder with the remote code of ${python.remoteCode}; ${python.variants}.`;
  }
  const version = python.transformers > 4 ? ` ${python.transformers}` : "";
  if (python.lacks?.includes(head)) {
    return `Python's transformers${version} reads the encoder of this folder as ${classNames.none}; it has no ${classNames[head]}.`;
  }
  return `Python's transformers${version} reads this folder as ${classNames[head]}.`;
}

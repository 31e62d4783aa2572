// The values of options that commands have in common, checked as they are read.

import { InvalidArgumentError, Option } from "commander";
import type { Part } from "../files/part.js";
import { type DeviceChoice, deviceWords, isDeviceChoice } from "../model/device-choice.js";
import { readPart } from "../train/world/launchers.js";

const wholeFrom = (least: number) => (value: string) => {
  const number = Number(value);
  if (value.trim() !== "" && Number.isInteger(number) && number >= least) return number;
  throw new InvalidArgumentError(`Expected a whole number of ${least} or more, got "${value}".`);
};

export const positive = wholeFrom(1);
export const wholeNumber = wholeFrom(0);

export function positiveNumber(value: string): number {
  const number = Number(value);
  if (value.trim() !== "" && number > 0 && number < Number.POSITIVE_INFINITY) return number;
  throw new InvalidArgumentError(`Expected a number above 0, got "${value}".`);
}

export function device(value: string): DeviceChoice {
  if (isDeviceChoice(value)) return value;
  throw new InvalidArgumentError(`Expected ${deviceWords}, got "${value}".`);
}

const powers: Record<string, number> = { "": 1, k: 1e3, M: 1e6, G: 1e9, T: 1e12 };

/** Bytes a second, of 25GB/s or 10Gbit/s. */
export function perSecond(value: string): number {
  const [, number, power, unit] = /^(\d+(?:\.\d+)?) ?([kMGT]?)(B|bit)\/s$/.exec(value) ?? [];
  if (Number(number) > 0) return (Number(number) * powers[power!]!) / (unit === "bit" ? 8 : 1);
  throw new InvalidArgumentError(`Expected a rate such as 25GB/s or 10Gbit/s, got "${value}".`);
}

/** Seconds, of 30us, 1ms or 2s. */
export function seconds(value: string): number {
  const [, number, unit] = /^(\d+(?:\.\d+)?) ?(us|ms|s)$/.exec(value) ?? [];
  if (number !== undefined) return Number(number) * { us: 1e-6, ms: 1e-3, s: 1 }[unit as "us" | "ms" | "s"];
  throw new InvalidArgumentError(`Expected a time such as 30us or 1ms, got "${value}".`);
}

/** `i/n`, or the launcher's rank. */
export function part(value: string): Part {
  try {
    return readPart(value);
  } catch (error) {
    throw new InvalidArgumentError((error as Error).message);
  }
}

/** A reader of lists: values between commas, each read by `read`. */
export function list<T>(read: (text: string) => T): (value: string) => T[] {
  return (value) =>
    value.split(",").map((text) => {
      const one = read(text.trim());
      if (text.trim() === "" || Number.isNaN(one)) throw new InvalidArgumentError(`Expected a list, got "${value}".`);
      return one;
    });
}

/** An option whose value is one of a list. */
export function choice(flags: string, text: string, values: readonly string[], fallback?: string): Option {
  return new Option(flags, text).choices(values).default(fallback);
}

/** What is left of a call's options when those that were not given are taken out. */
export function given<T extends object>(options: T): { [K in keyof T]?: Exclude<T[K], undefined> } {
  return Object.fromEntries(Object.entries(options).filter(([, value]) => value !== undefined)) as ReturnType<
    typeof given<T>
  >;
}

// From where a person wants a model to compute to the device it computes on.

import { cudaIsAvailable, type Device, useCuda } from "@neobert/torch";
import type { DeviceChoice } from "../device-choice.js";

/** The number that a launcher gave this process among those of its machine; 0 where none did. */
const ownLocalRank = () => Number(process.env.LOCAL_RANK) || 0;

/**
 * The device: `auto` is a GPU where one can be used and the CPU elsewhere; a GPU without a number is the one of this process.
 * Throws, saying what lacks, where a GPU is asked for and cannot be used: nothing goes on on the CPU in its place.
 */
export function chosenDevice(choice: DeviceChoice, localRank: number = ownLocalRank()): Device {
  if (choice === "cpu" || (choice === "auto" && !cudaIsAvailable())) return "cpu";
  const device: Device = choice === "auto" || choice === "cuda" ? `cuda:${localRank}` : choice;
  useCuda(device);
  return device;
}

// A rank's side of `neobert launch`: signs of life, and the end of a rank whose launcher is gone.

const BEAT_MS = 2000;

/** Of a process that `neobert launch` has started; nothing of any other. NOTE: the event loop is free while libtorch computes. */
export function followLauncher(): void {
  if (!process.env.NEOBERT_LAUNCH || !process.send) return;
  const beat = () => process.send!("alive", () => {});
  beat();
  setInterval(beat, BEAT_MS).unref();
  // As a scheduler would: a run then writes a checkpoint.
  process.once("disconnect", () => process.kill(process.pid, "SIGTERM"));
  process.channel!.unref();
}

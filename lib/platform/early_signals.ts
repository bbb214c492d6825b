/**
 * Listens for signals from the first instruction on: main.ts imports this file before all others. As PID 1, in a
 * container, a process without a listener never gets SIGTERM; elsewhere SIGHUP would end it.
 */

type StopSignal = "SIGTERM" | "SIGINT";
const NUMBERS: Readonly<Record<StopSignal, number>> = { SIGTERM: 15, SIGINT: 2 };

let stop = exit;
let hangUp: (() => void) | undefined;
let hasHungUp = false;

if (!("WorkerGlobalScope" in globalThis)) {
  for (const signal of Object.keys(NUMBERS) as StopSignal[]) {
    Deno.addSignalListener(signal, () => stop(signal));
  }
  Deno.addSignalListener("SIGHUP", () => {
    hasHungUp = true;
    hangUp?.();
  });
}

/** Until there is something to stop in order: 0 for a service that is told to end, the shell's convention for a command. */
function exit(signal: StopSignal): void {
  const isService = Deno.args[0]?.startsWith("-") ?? true;
  Deno.exit(isService && signal === "SIGTERM" ? 0 : 128 + NUMBERS[signal]);
}

/** Calls `listener`, and none before it, with each signal that asks the process to end. */
export function onStop(listener: (signal: StopSignal) => void): void {
  stop = listener;
}

/** Calls `listener` with each SIGHUP, and at once if one has come already. */
export function onHangUp(listener: () => void): void {
  hangUp = listener;
  if (hasHungUp) listener();
}

/**
 * Signal listeners from the first instruction on: main.ts imports this file before all others. As PID 1 of a container, a
 * process without a listener never receives SIGTERM. Elsewhere, SIGHUP would end it.
 */

type StopSignal = "SIGTERM" | "SIGINT";
const SIGNAL_NUMBERS: Readonly<Record<StopSignal, number>> = { SIGTERM: 15, SIGINT: 2 };

let stop = exit;
let hangUp: (() => void) | undefined;
let hasHungUp = false;

if (!("WorkerGlobalScope" in globalThis)) {
  for (const signal of Object.keys(SIGNAL_NUMBERS) as StopSignal[]) {
    Deno.addSignalListener(signal, () => stop(signal));
  }
  Deno.addSignalListener("SIGHUP", () => {
    hasHungUp = true;
    hangUp?.();
  });
}

/** Ends a process that has nothing to stop yet: with 0 for the service on SIGTERM, else with the shell's exit code. */
function exit(signal: StopSignal): void {
  const isService = Deno.args[0]?.startsWith("-") ?? true;
  Deno.exit(isService && signal === "SIGTERM" ? 0 : 128 + SIGNAL_NUMBERS[signal]);
}

/** Calls the listener with each stop signal. Replaces the previous listener. */
export function onStop(listener: (signal: StopSignal) => void): void {
  stop = listener;
}

/** Calls the listener with each SIGHUP, and at once if one was received before. */
export function onHangUp(listener: () => void): void {
  hangUp = listener;
  if (hasHungUp) listener();
}

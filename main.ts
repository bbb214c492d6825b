/** Picks a command. Worker threads run this file, too, so that the compiled program needs no other file. */

import "./lib/platform/early_signals.ts"; // Before all others, so that no signal is missed.
import metadata from "./deno.json" with { type: "json" };
import { checkConfig } from "./lib/commands/check_config.ts";
import { reportError } from "./lib/commands/command.ts";
import { healthcheck } from "./lib/commands/healthcheck.ts";
import { reload } from "./lib/commands/reload.ts";
import { run } from "./lib/commands/run.ts";
import { stderr } from "./lib/observe/stderr.ts";
import { isWorker, runWorker } from "./lib/workers/worker_main.ts";

/** Time to write the last log lines. A reader that has stopped does not delay the exit further. */
const FLUSH_LIMIT_MS = 500;

const COMMANDS = new Map<string, (args: string[], version: string) => Promise<number>>([
  ["check-config", checkConfig],
  ["healthcheck", healthcheck],
  ["reload", reload],
]);

/** Resolves with the exit code. Never rejects: an unhandled rejection would not end the process. */
async function main([name = "", ...args]: string[]): Promise<number> {
  try {
    const command = COMMANDS.get(name);
    if (command) return await command(args, metadata.version);
    return await run(Deno.args, { version: metadata.version, module: import.meta.url });
  } catch (error) {
    return reportError(error);
  }
}

if (isWorker()) {
  runWorker();
} else if (import.meta.main) {
  const code = await main(Deno.args);
  await stderr.flush(FLUSH_LIMIT_MS);
  Deno.exit(code);
}

/**
 * Shared parts of the commands: exit codes, options, and output. Each command is one file of this folder. A command returns an
 * exit code or throws, and only main.ts ends the process. Commands may import everything; no other folder imports them.
 */

import { type OptionSources, readSources, UsageError } from "../config/config.ts";
import { helpText } from "../config/help.ts";
import { ListenError } from "../frontend/listeners.ts";
import { stderr } from "../observe/stderr.ts";
import { readAhead } from "../platform/read_file.ts";
import { versionText } from "./version.ts";

/** Exit codes of all commands. */
export const EXIT = { ok: 0, failed: 1, usage: 2 } as const;

/** A failure that its message explains. It ends the process with `EXIT.failed`, without a stack trace. */
export class CommandError extends Error {}

/** Reads the options of a command. Returns undefined after `--help` or `--version`, whose text it has printed. */
export async function readOptions(args: string[], version: string): Promise<OptionSources | undefined> {
  const environment = Deno.env.toObject();
  const sources = await readAhead((file) => readSources(args, environment, file));
  if (sources === "help") print(helpText());
  else if (sources === "version") print(versionText(version));
  else return sources;
  return undefined;
}

/** Writes a text to standard output. */
export function print(text: string): void {
  Deno.stdout.writeSync(new TextEncoder().encode(text));
}

/** Writes the error to standard error and returns the exit code for it. An unexpected error keeps its stack trace. */
export function reportError(error: unknown): number {
  stderr.write(`dot-proxy: ${textOf(error)}\n`);
  return error instanceof UsageError ? EXIT.usage : EXIT.failed;
}

function textOf(error: unknown): string {
  if (!(error instanceof Error)) return String(error);
  const isExpected = [UsageError, ListenError, CommandError].some((type) => error instanceof type);
  return isExpected ? error.message : error.stack ?? error.message;
}

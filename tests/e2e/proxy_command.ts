/** How the proxy is run: from source or the bundle, as the `start` task does, or as a compiled binary. */
import { resolve } from "node:path";
import { fileURLToPath } from "node:url";
import { MODE_ENVIRONMENT } from "../support/mode.ts";
import type { Command } from "../support/processes/child.ts";

const ROOT = fileURLToPath(new URL("../../", import.meta.url));

/** Path of a compiled proxy to test in place of the source. */
const BINARY = "DOT_PROXY_BINARY";
/** Path of the bundle to run in place of main.ts. */
export const BUNDLE = "DOT_PROXY_BUNDLE";

/** How to run the proxy with these arguments, out of reach of the options in this process's environment. */
export async function proxyCommand(args: readonly string[]): Promise<Command> {
  const env = Object.fromEntries(
    Object.entries(Deno.env.toObject()).filter(([name]) => !name.startsWith("DOT_PROXY_")),
  );
  // The zones of the tests are under .test, which a proxy would answer itself.
  const own = { NO_COLOR: "1", DOT_PROXY_SPECIAL_NAMES: "forward", ...MODE_ENVIRONMENT };
  const surroundings = { cwd: ROOT, env: { ...env, ...own }, clearEnv: true };
  const binary = Deno.env.get(BINARY);
  if (binary) return { program: resolve(binary), args, ...surroundings };
  const { tasks } = JSON.parse(await Deno.readTextFile(new URL("../../deno.json", import.meta.url)));
  const [deno, ...start] = String(tasks.start).split(" ");
  if (deno !== "deno" || start.at(-1) !== "main.ts") {
    throw new Error(`The start task of deno.json is not "deno run … main.ts": ${tasks.start}`);
  }
  const main = Deno.env.get(BUNDLE) ?? "main.ts";
  return { program: Deno.execPath(), args: [...start.slice(0, -1), main, ...args], ...surroundings };
}

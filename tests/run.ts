/**
 * All tests in one mode, then those that depend on it in each of the others; or all in the one that DOT_PROXY_TEST_MODE
 * names. Arguments are handed on to `deno test`. A run that fails does not keep the next from its turn.
 */
import { fileURLToPath } from "node:url";
import { MODE, type Mode, MODES, VARIABLE } from "./support/mode.ts";
import { suites, suitesWithMode } from "./suites.ts";

const ROOT = fileURLToPath(new URL("../", import.meta.url));

async function run(mode: Mode, files: readonly string[]): Promise<boolean> {
  console.log(`\n${files.length} files of tests, proxies in mode ${mode}`);
  const { success } = await new Deno.Command(Deno.execPath(), {
    args: ["test", "--parallel", "--allow-all", ...Deno.args, ...files.map((path) => `tests/${path}`)],
    cwd: ROOT,
    env: { [VARIABLE]: mode },
  }).spawn().status;
  return success;
}

const others = Deno.env.has(VARIABLE) ? [] : (Object.keys(MODES) as Mode[]).filter((mode) => mode !== MODE);
let failed = !await run(MODE, suites());
for (const mode of others) if (!await run(mode, suitesWithMode())) failed = true;
Deno.exit(failed ? 1 : 0);

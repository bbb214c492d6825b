/**
 * Installs the packages that tests need, where it may, and leaves out the files that need what is still missing; in CI
 * that is a failure. Runs all tests in one mode, then those that depend on it in each of the others, then those that
 * start the proxy as a process on the bundle; or all in the one mode that DOT_PROXY_TEST_MODE names. Arguments are
 * handed on to `deno test`. A run that fails does not keep the next from its turn.
 */
import { fileURLToPath } from "node:url";
import { BUNDLE } from "./e2e/proxy_command.ts";
import { installPackages, lacks } from "./packages.ts";
import { MODE, type Mode, MODES, VARIABLE } from "./support/mode.ts";
import { suites, suitesThatStart, suitesWithMode, suitesWithProcess } from "./suites.ts";

const ROOT = fileURLToPath(new URL("../", import.meta.url));

async function run(mode: Mode, files: readonly string[], bundle?: string): Promise<boolean> {
  const origin = bundle === undefined ? "" : ", processes from the bundle";
  console.log(`\n${files.length} files of tests, proxies in mode ${mode}${origin}`);
  return await deno(
    ["test", "--parallel", "--allow-all", ...Deno.args, ...files.map((path) => `tests/${path}`)],
    { [VARIABLE]: mode, ...bundle !== undefined && { [BUNDLE]: bundle } },
  );
}

async function deno(args: readonly string[], env: Record<string, string> = {}): Promise<boolean> {
  const command = new Deno.Command(Deno.execPath(), { args: [...args], cwd: ROOT, env });
  return (await command.spawn().status).success;
}

await installPackages();
const missing = lacks().map((lack) => ({ ...lack, suites: suitesThatStart(lack.program) }));
const leftOut = new Set(missing.flatMap(({ suites }) => suites));
const present = (files: readonly string[]) => files.filter((file) => !leftOut.has(file));

const others = Deno.env.has(VARIABLE) ? [] : (Object.keys(MODES) as Mode[]).filter((mode) => mode !== MODE);
let failed = !await run(MODE, present(suites()));
for (const mode of others) if (!await run(mode, present(suitesWithMode()))) failed = true;
if (!Deno.env.has(VARIABLE)) {
  const files = present(suitesWithProcess());
  if (!await deno(["task", "bundle"]) || !await run(MODE, files, "build/dot-proxy.js")) failed = true;
}
for (const { program, reason, suites } of missing) {
  console.log(`\nWithout ${program} (${reason}), ${suites.length} files of tests were left out.`);
  for (const suite of suites) console.log(`  tests/${suite}`);
}
if (missing.length > 0 && Deno.env.get("CI") === "true") {
  console.error("\nIn CI (CI=true) no test may be left out.");
  failed = true;
}
Deno.exit(failed ? 1 : 0);

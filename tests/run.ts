/**
 * Installs the packages that tests need, where it may, and leaves out the test files that need missing ones; in CI
 * that is a failure. Runs all tests in one mode; then those that depend on the mode in each of the others, those that
 * start the proxy as a process on its bundle, and those about dates on another day. Or all in the one mode that
 * DOT_PROXY_TEST_MODE names. Arguments are handed on to `deno test`.
 */
import { fileURLToPath } from "node:url";
import { BUNDLE } from "./e2e/proxy_command.ts";
import { find, installPackages, lacks } from "./packages.ts";
import { MODE, type Mode, MODES, VARIABLE } from "./support/mode.ts";
import { suites, suitesThatStart, suitesWithDates, suitesWithMode, suitesWithProcess } from "./suites.ts";

const ROOT = fileURLToPath(new URL("../", import.meta.url));

/** One `deno test` of these files. */
interface Run {
  readonly mode?: Mode;
  readonly files: readonly string[];
  /** Told with the count of files. */
  readonly surroundings?: string;
  readonly env?: Record<string, string>;
  /** A program with arguments that runs the tests' command. */
  readonly behind?: readonly string[];
}

async function run({ mode = MODE, files, surroundings, env = {}, behind = [] }: Run): Promise<boolean> {
  const notes = [`proxies in mode ${mode}`, ...surroundings === undefined ? [] : [surroundings]];
  console.log(`\n${files.length} files of tests, ${notes.join(", ")}`);
  const test = ["test", "--parallel", "--allow-all", ...Deno.args, ...files.map((path) => `tests/${path}`)];
  const [program = "", ...args] = [...behind, Deno.execPath(), ...test];
  const command = new Deno.Command(program, { args, cwd: ROOT, env: { ...env, [VARIABLE]: mode } });
  return (await command.spawn().status).success;
}

/** Tests and program as they will be on a day when nothing has changed but the day. */
async function runElsewhere(): Promise<boolean> {
  const faketime = find("faketime");
  if (faketime === undefined) return true; // reported with the other missing packages
  return await run({
    files: present(suitesWithDates()),
    surroundings: "the clock 400 days ahead, in another time zone and locale",
    // Timers go on as they are: only the date is another.
    env: {
      FAKETIME_DONT_FAKE_MONOTONIC: "1",
      TZ: "Asia/Kathmandu",
      LC_ALL: "tr_TR.UTF-8",
      LANG: "tr_TR.UTF-8",
    },
    behind: [faketime, "-f", "+400d"],
  });
}

async function runOnBundle(): Promise<boolean> {
  const bundle = new Deno.Command(Deno.execPath(), { args: ["task", "bundle"], cwd: ROOT });
  if (!(await bundle.spawn().status).success) return false;
  return await run({
    files: present(suitesWithProcess()),
    surroundings: "processes from the bundle",
    env: { [BUNDLE]: "build/dot-proxy.js" },
  });
}

await installPackages();
const missing = lacks().map((lack) => ({ ...lack, suites: suitesThatStart(lack.program) }));
const leftOut = new Set(missing.flatMap(({ suites }) => suites));
const present = (files: readonly string[]) => files.filter((file) => !leftOut.has(file));

/** In this order; a run that fails does not keep the next from its turn. */
const runs = [() => run({ files: present(suites()) })];
if (!Deno.env.has(VARIABLE)) {
  for (const mode of (Object.keys(MODES) as Mode[]).filter((mode) => mode !== MODE)) {
    runs.push(() => run({ mode, files: present(suitesWithMode()) }));
  }
  runs.push(runOnBundle, runElsewhere);
}
let failed = false;
for (const each of runs) if (!await each()) failed = true;
for (const { program, reason, suites } of missing) {
  console.log(`\nWithout ${program} (${reason}), ${suites.length} files of tests were left out.`);
  for (const suite of suites) console.log(`  tests/${suite}`);
}
if (missing.length > 0 && Deno.env.get("CI") === "true") {
  console.error("\nIn CI (CI=true) no test may be left out.");
  failed = true;
}
Deno.exit(failed ? 1 : 0);

/** Which files of tests there are, and which of them depend on the mode that proxies are in (support/mode.ts). */
import { dirname, relative, resolve } from "node:path";
import { fileURLToPath } from "node:url";

const TESTS = fileURLToPath(new URL(".", import.meta.url));
// Named in parts, or whatever imports this file would count as one that reads them.
const MODE_FILE = resolve(TESTS, "support", "mode.ts");
const CERTIFICATES_FILE = resolve(TESTS, "support/servers", "certificates.ts");
const PROCESS_FILE = resolve(TESTS, "e2e", "proxy_command.ts");

/** Paths within tests/ of all files that deno takes for tests. */
export function suites(): string[] {
  return filesIn(TESTS).filter((path) => path.endsWith("_test.ts")).map((path) => relative(TESTS, path))
    .sort();
}

/** Test files that read the mode, directly or through files that they import, start or run. */
export function suitesWithMode(): string[] {
  return suites().filter((suite) => reachedBy(suite).has(MODE_FILE));
}

/** Those of them that start the proxy as a process. */
export function suitesWithProcess(): string[] {
  return suites().filter((suite) => reachedBy(suite).has(PROCESS_FILE));
}

/** Those of them that issue certificates or read dates, and finish soon: on another day they must pass as well. */
export function suitesWithDates(): string[] {
  return suites().filter((suite) =>
    /^(config|dns|observe|resolver|support|upstream)\//.test(suite) &&
    [...reachedBy(suite)].some((path) => path === CERTIFICATES_FILE || /\bDate\b/.test(textOf(path)))
  );
}

/** Test files that start a program through e2e/tools.ts, directly or through files that they import, start or run. */
export function suitesThatStart(program: string): string[] {
  const starts = new RegExp(String.raw`\b(?:pathOf|run|succeed)\(\s*"${program}"`);
  const files = [...known].filter((path) => textOf(path).includes('tools.ts"') && starts.test(textOf(path)));
  return suites().filter((suite) => files.some((path) => reachedBy(suite).has(path)));
}

function reachedBy(suite: string): ReadonlySet<string> {
  const reached = new Set([resolve(TESTS, suite)]);
  for (const path of reached) for (const next of namedIn(path)) reached.add(next);
  return reached;
}

/** Files that a file names: imports, and scripts for processes of their own. */
function namedIn(path: string): string[] {
  const names = textOf(path).matchAll(/"([\w./-]+\.ts)"/g);
  return [...names].map(([, name]) => resolve(dirname(path), name!)).filter((each) => known.has(each));
}

function textOf(path: string): string {
  const text = texts.get(path) ?? Deno.readTextFileSync(path);
  texts.set(path, text);
  return text;
}

function filesIn(folder: string): string[] {
  return [...Deno.readDirSync(folder)].flatMap(({ name, isDirectory }) => {
    const path = resolve(folder, name);
    return isDirectory ? filesIn(path) : [path];
  });
}

const texts = new Map<string, string>();
const known = new Set(filesIn(TESTS));

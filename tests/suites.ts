/** Which files of tests there are, and which of them depend on the mode that proxies are in (support/mode.ts). */
import { dirname, relative, resolve } from "node:path";
import { fileURLToPath } from "node:url";

const TESTS = fileURLToPath(new URL(".", import.meta.url));
const MODE_FILE = resolve(TESTS, "support/mode.ts");

/** Paths within tests/ of all files that deno takes for tests. */
export function suites(): string[] {
  return filesIn(TESTS).filter((path) => path.endsWith("_test.ts")).map((path) => relative(TESTS, path))
    .sort();
}

/** Those of them that read the mode, themselves or through what they import, start or run. */
export function suitesWithMode(): string[] {
  return suites().filter((suite) => {
    const reached = new Set([resolve(TESTS, suite)]);
    for (const path of reached) for (const next of namedIn(path)) reached.add(next);
    return reached.has(MODE_FILE);
  });
}

/** Files that a file names: imports, and scripts for processes of their own. */
function namedIn(path: string): string[] {
  const names = Deno.readTextFileSync(path).matchAll(/"([\w./-]+\.ts)"/g);
  return [...names].map(([, name]) => resolve(dirname(path), name!)).filter((each) => known.has(each));
}

function filesIn(folder: string): string[] {
  return [...Deno.readDirSync(folder)].flatMap(({ name, isDirectory }) => {
    const path = resolve(folder, name);
    return isDirectory ? filesIn(path) : [path];
  });
}

const known = new Set(filesIn(TESTS));

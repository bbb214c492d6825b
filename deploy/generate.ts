/**
 * Writes the files that are made from others: the JSON Schema for editors and docs/options.md from the table of options, and the
 * lists of tests in docs/rfc.md from the titles of tests. `deno task generate`.
 */
import { join, relative } from "node:path";
import { fileURLToPath } from "node:url";
import { optionTable } from "../lib/config/help.ts";
import { jsonSchema } from "../lib/config/schema.ts";

const ROOT = fileURLToPath(new URL("../", import.meta.url));
const OPTIONS = join(ROOT, "docs/options.md");
const CHECKLIST = join(ROOT, "docs/rfc.md");

await Deno.writeTextFile(join(ROOT, "deploy/dot-proxy.schema.json"), jsonSchema());
const table = `<!-- options -->\n${optionTable()}<!-- /options -->`;
const options = await Deno.readTextFile(OPTIONS);
await Deno.writeTextFile(OPTIONS, options.replace(/<!-- options -->\n.*?<!-- \/options -->/s, () => table));
await Deno.writeTextFile(
  CHECKLIST,
  withTests(await Deno.readTextFile(CHECKLIST), [...testFiles(join(ROOT, "tests"))].sort()),
);

/** The checklist, with the tests under each row whose titles name it. */
function withTests(checklist: string, paths: readonly string[]): string {
  const titles = paths.map((path) => ({
    path: relative(ROOT, path),
    text: [...Deno.readTextFileSync(path).matchAll(/["`](?:[^"`\\\n]|\\.)*["`]/g)].join("\n"),
  }));
  const lines = checklist.split("\n").filter((line) => !line.startsWith("  Tests: "));
  return lines.map((line) => {
    const row = /^- \*\*(\d{4}-\d+)\*\*/.exec(line)?.[1];
    const proving = titles.filter(({ text }) => row !== undefined && new RegExp(`\\b${row}\\b`).test(text));
    return proving.length === 0
      ? line
      : `${line}\n  Tests: ${proving.map(({ path }) => `\`${path}\``).join(", ")}`;
  }).join("\n");
}

function* testFiles(folder: string): Generator<string> {
  for (const { name, isDirectory } of Deno.readDirSync(folder)) {
    const path = join(folder, name);
    if (isDirectory) yield* testFiles(path);
    else if (name.endsWith("_test.ts") && name !== "structure_test.ts") yield path;
  }
}

/**
 * The rules of docs/architecture.md and docs/development.md that a machine can check: which folder may import which, unique
 * exported names, a header in each module, references that resolve, and prose without riddles.
 */
import { dirname, join, relative } from "node:path";
import { fileURLToPath } from "node:url";
import { assert, assertEquals } from "./support/assert.ts";

const ROOT = fileURLToPath(new URL("../", import.meta.url));

/** One import or re-export. */
interface Import {
  readonly from: string;
  /** A path from the root for our own files, else the specifier. */
  readonly to: string;
  /** Imported names, without `type` and local aliases; `*` for all. */
  readonly names: readonly string[];
  readonly typesOnly: boolean;
  readonly isReexport: boolean;
}

function filesIn(folder: string, ending: string): string[] {
  return [...Deno.readDirSync(join(ROOT, folder))].flatMap(({ name, isDirectory }) => {
    const path = folder === "" ? name : `${folder}/${name}`;
    if (isDirectory) return name.startsWith(".") || name === "node_modules" ? [] : filesIn(path, ending);
    return name.endsWith(ending) && !name.endsWith(".d.ts") ? [path] : [];
  });
}

const read = (path: string) => Deno.readTextFileSync(join(ROOT, path));
const sources = new Map(
  [...filesIn("lib", ".ts"), ...filesIn("tests", ".ts"), ...filesIn("deploy", ".ts"), "main.ts"]
    .map((path) => [path, read(path)]),
);
const library = new Map([...sources].filter(([path]) => path.startsWith("lib/")));
const pages = new Map(
  ["README.md", "SECURITY.md", "CHANGELOG.md", ...filesIn("docs", ".md"), "bench/README.md"]
    .map((path) => [path, read(path)]),
);
const imports = [...sources].flatMap(([path, text]) => importsOf(path, text));
const ofLibrary = imports.filter(({ from }) => from.startsWith("lib/"));

function importsOf(path: string, text: string): Import[] {
  const statements = text.matchAll(/^(im|ex)port (type )?(?:([\w*{}\s,]+?)\s+from )?"([^"]+)";/gm);
  return [...statements].map(([, word, type, clause = "", specifier = ""]) => {
    const listed = /\{([^}]*)\}/.exec(clause)?.[1]?.split(",").map((name) => name.trim()).filter(Boolean) ??
      [];
    const to = specifier.startsWith(".")
      ? relative(ROOT, fileURLToPath(new URL(specifier, `file://${ROOT}${path}`)))
      : specifier;
    return {
      from: path,
      to,
      names: clause.includes("*")
        ? ["*"]
        : listed.map((name) => name.replace(/^type /, "").split(" as ")[0]!),
      typesOnly: type !== undefined || listed.length > 0 && listed.every((name) => name.startsWith("type ")),
      isReexport: word === "ex",
    };
  });
}

/** The folder of lib/ that a file is in; "compositions" for the files at its top. */
function folderOf(path: string): string {
  return path.split("/").length > 2 ? path.split("/")[1]! : "compositions";
}

/** Which folders each folder of lib/ may import; those after the bar for types only. */
const MAY_IMPORT: Readonly<Record<string, string>> = {
  net: "",
  dns: "",
  async: "",
  core: "dns net",
  platform: "net core async",
  observe: "dns core net platform",
  resolver: "dns core net async platform",
  upstream: "dns core net async platform",
  frontend: "dns core net async platform | resolver",
  admin: "dns core net async observe platform | resolver",
  config: "dns core net platform upstream resolver | frontend",
  compositions: "dns core net async platform observe resolver upstream frontend admin config | workers",
  workers: "dns core net async platform observe compositions | resolver frontend admin config",
  commands: "core net async platform observe config compositions workers frontend resolver dns",
};

Deno.test("each folder of lib/ imports only what docs/architecture.md allows", () => {
  const wrong = ofLibrary.filter(({ from, to, typesOnly }) => {
    if (!to.startsWith("lib/") || folderOf(from) === folderOf(to)) return false;
    const [values = "", types = ""] = (MAY_IMPORT[folderOf(from)] ?? "").split("|");
    const allowed = typesOnly ? `${values} ${types}` : values;
    return !allowed.split(/\s+/).includes(folderOf(to));
  });
  assertEquals(wrong.map(({ from, to }) => `${from} → ${to}`), []);
  assert(ofLibrary.length > 200);
});

Deno.test("lib/ imports neither main.ts nor tests/", () => {
  assertEquals(ofLibrary.filter(({ to }) => /^(main\.ts|tests\/)/.test(to)), []);
});

Deno.test("no files of lib/ import each other in a circle", () => {
  const next = Map.groupBy(ofLibrary, ({ from }) => from);
  function cycleFrom(path: string, trail: string[]): string[] | undefined {
    if (trail.includes(path)) return [...trail.slice(trail.indexOf(path)), path];
    return (next.get(path) ?? []).filter(({ typesOnly }) => !typesOnly)
      .map(({ to }) => cycleFrom(to, [...trail, path])).find(Boolean);
  }
  assertEquals([...next.keys()].map((path) => cycleFrom(path, [])).find(Boolean), undefined);
});

Deno.test("no file of lib/ has more than 450 lines, and no folder more than 15 files", () => {
  // The table of options is one subject, however long.
  const long = [...library].filter(([path, text]) =>
    path !== "lib/config/options.ts" && text.split("\n").length > 451
  )
    .map(([path]) => path);
  assertEquals(long, []);
  const crowded = [...Map.groupBy(library.keys(), (path) => dirname(path))].filter(([, paths]) =>
    paths.length > 15
  );
  assertEquals(crowded, []);
});

/** Exports without a reader in lib/ or main.ts, each with its reason. */
const WITHOUT_READER: ReadonlyMap<string, string> = new Map([
  ["parseConfig", "tests make a configuration in one step; the program needs the step between as well"],
  ["resolverLoopWarning", "one of the warnings, with a test of its own"],
  ["openResolverWarning", "one of the warnings, with a test of its own"],
  ["isHealthy", "the command's decision, tested without a process"],
  ["queryLine", "the format of the query log, tested by itself"],
  ["messageNames", "the checks of names, whose steps tests count"],
  ["InFlightQuestions", "a table with tests of its own"],
  ["HedgeBudget", "a budget with tests of its own"],
]);

Deno.test("every export of lib/ has a reader outside its file", () => {
  const unread: string[] = [];
  for (const [path, text] of library) {
    for (const name of exportsOf(text)) {
      if (WITHOUT_READER.has(name) || describesExport(text, name)) continue;
      const readers = readersOf(path, name);
      if (readers.some((from) => !from.startsWith("tests/"))) continue;
      unread.push(`${path}: ${name}${readers.length > 0 ? " (read by tests only)" : ""}`);
    }
  }
  assertEquals(unread, []);
});

Deno.test("no two files of lib/ export the same name", () => {
  const places = [...library].flatMap(([path, text]) => exportsOf(text).map((name) => ({ name, path })));
  const twice = [...Map.groupBy(places, ({ name }) => name).values()].filter((group) => group.length > 1);
  assertEquals(twice.map((group) => group.map(({ name, path }) => `${name} in ${path}`)), []);
});

/** A re-export has no readers of its own, but its importers count. */
function readersOf(path: string, name: string): string[] {
  return imports.filter(({ to, names }) => to === path && (names.includes(name) || names.includes("*")))
    .flatMap(({ from, isReexport }) => isReexport ? readersOf(from, name) : [from]);
}

function exportsOf(text: string): string[] {
  const declared = text.matchAll(
    /^export (?:abstract |async |declare )*(?:class|function|const|interface|type) (\w+)/gm,
  );
  return [...new Set([...declared].map(([, name]) => name!))];
}

/** A type in another export's signature: callers of that export need its name. */
function describesExport(text: string, name: string): boolean {
  const isType = new RegExp(`^export (interface|type) ${name}\\b`, "m").test(text);
  return isType && text.match(new RegExp(`\\b${name}\\b`, "g"))!.length > 1;
}

Deno.test("references in comments and test titles resolve in this repository", () => {
  const dangling = [...sources].flatMap(([path, text]) =>
    [...text.matchAll(/field notes? \d+|lib\/[\w/]+\.ts|tests\/[\w/]+\.ts|docs\/[\w/]+\.md/g)]
      .map(([reference]) => reference)
      .filter((reference) => !isThere(reference) && path !== "tests/structure_test.ts")
      .map((reference) => `${path}: ${reference}`)
  );
  assertEquals(dangling, []);
});

function isThere(path: string): boolean {
  try {
    return Deno.statSync(join(ROOT, path)).isFile;
  } catch {
    return false;
  }
}

Deno.test("links between the pages of the documentation resolve", () => {
  const broken: string[] = [];
  for (const [path, text] of pages) {
    for (const [, target = ""] of text.matchAll(/\]\(([^)\s]+)\)|src="([^"]+)"/g)) {
      if (/^https?:|^$/.test(target)) continue;
      const [file = "", anchor] = target.split("#");
      const to = file === "" ? path : relative(ROOT, join(ROOT, dirname(path), file));
      const isFile = isThere(to) || [...Deno.readDirSync(ROOT)].some(({ name }) => name === to);
      const page = pages.get(to);
      if (!isFile || anchor !== undefined && page !== undefined && !anchorsOf(page).has(anchor)) {
        broken.push(`${path}: ${target}`);
      }
    }
  }
  assertEquals(broken, []);
});

/** GitHub's anchors of headings. */
function anchorsOf(page: string): Set<string> {
  const headings = page.matchAll(/^#+ (.*)$/gm);
  return new Set(
    [...headings].map(([, text]) =>
      text!.toLowerCase().replace(/[^\p{L}\p{N} _-]/gu, "").trim().replaceAll(" ", "-")
    ),
  );
}

const ROW = /\b(\d{4}-\d{1,2})\b/g;

Deno.test("test titles name rows of docs/rfc.md, and each row names the tests that prove it", () => {
  const checklist = pages.get("docs/rfc.md")!;
  const rows = new Map<string, string>();
  for (const [, row, rest] of checklist.matchAll(/^- \*\*(\d{4}-\d+)\*\*((?:.|\n(?!- |\n|#))*)/gm)) {
    rows.set(row!, rest!);
  }
  assert(rows.size > 40);
  const wrong: string[] = [];
  for (const [path, text] of sources) {
    if (!path.endsWith("_test.ts") || path === "tests/structure_test.ts") continue;
    for (
      const title of text.matchAll(/^\s*(?:Deno\.test|await t\.step)\(\s*(?:\{\s*name:\s*)?["`](.*?)["`],/gm)
    ) {
      for (const [, row] of title[1]!.matchAll(ROW)) {
        if (!rows.has(row!)) wrong.push(`${path} names ${row}, which is no row`);
        else if (!rows.get(row!)!.includes(path)) wrong.push(`row ${row} does not name ${path}`);
      }
    }
  }
  for (const [row, rest] of rows) {
    const named = [...rest.matchAll(/tests\/[\w/]+_test\.ts/g)].map(([path]) => path);
    if (named.length === 0 && !rest.includes("Not tested:")) {
      wrong.push(`row ${row} names no test, and no reason`);
    }
    for (const path of named) {
      if (!sources.get(path)?.includes(row)) wrong.push(`row ${row} names ${path}, which does not name it`);
    }
  }
  assertEquals(wrong, []);
});
Deno.test("every module of lib/ starts with a header", () => {
  const without = [...library].filter(([, text]) =>
    !/^\/\*\*[\s\S]*?\*\/\n\n?(import|export|const|interface|type|class|\/\*\*|\/\/)/.test(text)
  );
  assertEquals(without.map(([path]) => path), []);
});

/** Patterns of riddles, with the most that a thousand words of comment may have (docs/development.md, style). */
const RIDDLES: readonly { readonly pattern: RegExp; readonly most: number }[] = [
  {
    pattern:
      /\b[Ww]hat (is|was|has|comes|came|stands|there|it|of|a|an|the|all|one|they|we|were|cannot|does|becomes|remains|follows|waits|may|can|this|such|every|clients|any?|to)\b/g,
    most: 1,
  },
  { pattern: /\b(tells?|told|says?|said)\b/g, most: 0.5 },
  { pattern: /\b([Nn]obody|[Ss]omebody|[Ee]verybody|[Aa]nybody|[Ww]hoever)\b/g, most: 0.2 },
];

Deno.test("comments of lib/ are plain English: few noun clauses, tellings and persons", () => {
  const comments = [...library.values(), sources.get("main.ts")!]
    .flatMap((text) => text.match(/\/\*\*[\s\S]*?\*\/|\/\/.*$/gm) ?? []).join("\n");
  const words = comments.split(/\s+/).length;
  for (const { pattern, most } of RIDDLES) {
    const found = comments.match(pattern)?.length ?? 0;
    assert(found / words * 1000 <= most, `${found} of ${pattern} in ${words} words of comment`);
  }
});

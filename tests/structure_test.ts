import { join, relative } from "node:path";
import { fileURLToPath } from "node:url";
import { assert, assertEquals } from "./support/assert.ts";

const ROOT = fileURLToPath(new URL("../", import.meta.url));

/** One import or re-export: which file, of which module, and what of it. */
interface Import {
  readonly from: string;
  /** A path from the root for our own files, else the specifier. */
  readonly to: string;
  /** Without `type` and local names; `*` for all. */
  readonly names: readonly string[];
  readonly typesOnly: boolean;
  /** Whether it is an export in one. */
  readonly passesOn: boolean;
}

function filesIn(folder: string): string[] {
  return [...Deno.readDirSync(join(ROOT, folder))].flatMap(({ name, isDirectory }) => {
    const path = `${folder}/${name}`;
    if (isDirectory) return filesIn(path);
    return name.endsWith(".ts") && !name.endsWith(".d.ts") ? [path] : [];
  });
}

const sources = new Map(
  [...filesIn("lib"), ...filesIn("tests"), "main.ts"].map((
    path,
  ) => [path, Deno.readTextFileSync(join(ROOT, path))]),
);
const imports = [...sources].flatMap(([path, text]) => importsOf(path, text));
const ofLib = imports.filter(({ from }) => from.startsWith("lib/"));

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
      passesOn: word === "ex",
    };
  });
}

/** Imports that one of these files has of the others, as "from → to". */
function arrows(from: RegExp, to: RegExp, among = ofLib): string[] {
  return among.filter((each) => from.test(each.from) && to.test(each.to))
    .map((each) => `${each.from} → ${each.to}`);
}

Deno.test("the imports are found", () => {
  assertEquals(arrows(/^lib\/upstreams\.ts$/, /^lib\/upstream\/upstream\.ts$/).length, 1);
  assert(ofLib.length > 50);
});

Deno.test("dns/ imports nothing outside dns/", () => {
  assertEquals(arrows(/^lib\/dns\//, /^(?!lib\/dns\/)/), []);
});

Deno.test("resolver/ imports neither edge", () => {
  assertEquals(arrows(/^lib\/resolver\//, /^lib\/(upstream|frontend)\//), []);
});

Deno.test("the edges do not import each other", () => {
  assertEquals(arrows(/^lib\/upstream\//, /^lib\/frontend\//), []);
  assertEquals(arrows(/^lib\/frontend\//, /^lib\/upstream\//), []);
});

Deno.test("of observe/ the layers import the types of events and states only", () => {
  const layers = /^lib\/(resolver|upstream|frontend)\//;
  assertEquals(arrows(layers, /^lib\/observe\/(?!(event|status)\.ts$)/), []);
  const values = ofLib.filter(({ typesOnly }) => !typesOnly);
  assertEquals(arrows(layers, /^lib\/observe\//, values), []);
});

Deno.test("layers, errors and events import nothing of the composition above them, nor the configuration", () => {
  assertEquals(
    arrows(
      /^lib\/(?!(config|workers)\/)(\w+\/|errors\.ts)/,
      /^(main\.ts|lib\/((config|workers)\/.*|proxy|forwarder|upstreams)\.ts)$/,
    ),
    [],
  );
});

Deno.test("workers/ stands on the proxy as it is, of which a thread is one: nothing below knows of threads", () => {
  assertEquals(arrows(/^lib\/(?!workers\/|reload\.ts)/, /^lib\/workers\//), []);
  assertEquals(arrows(/^lib\/workers\//, /^lib\/(observation|reload|forwarder|upstreams)\.ts$/), []);
});

Deno.test("errors.ts stands on dns/ and escape.ts alone", () => {
  assertEquals(arrows(/^lib\/errors\.ts$/, /^(?!lib\/(dns\/|escape\.ts))/), []);
});

Deno.test("nobody imports main.ts, and lib/ imports nothing of tests/", () => {
  assertEquals(arrows(/^lib\//, /^(main\.ts|tests\/)/), []);
});

Deno.test("no two files of lib/ import each other, directly or round the corner", () => {
  const next = Map.groupBy(ofLib, ({ from }) => from);
  function cycleFrom(path: string, trail: string[]): string[] | undefined {
    if (trail.includes(path)) return [...trail.slice(trail.indexOf(path)), path];
    return (next.get(path) ?? []).filter(({ typesOnly }) => !typesOnly)
      .map(({ to }) => cycleFrom(to, [...trail, path])).find(Boolean);
  }
  assertEquals([...next.keys()].map((path) => cycleFrom(path, [])).find(Boolean), undefined);
});

Deno.test("no file of lib/ has more than 400 lines: beyond that it has a second subject", () => {
  const long = [...sources].filter(([path]) => path.startsWith("lib/"))
    .map(([path, text]) => [path, text.trimEnd().split("\n").length] as const)
    .filter(([, lines]) => lines > 400);
  assertEquals(long, []);
});

/** Exports that tests alone read, each with its reason. */
const FOR_TESTS: ReadonlyMap<string, string> = new Map([
  ["parseConfig", "a configuration in one step, where the program needs the one between as well"],
  ["names", "how many steps a message has cost, which no clock could prove"],
  ["optionTable", "deploy/generate.ts writes the README's table with it"],
  ["jsonSchema", "deploy/generate.ts writes deploy/dot-proxy.schema.json with it"],
]);

Deno.test("every export of lib/ is read by another file of lib/ or by main.ts, or is there for tests and says why", () => {
  const unread: string[] = [];
  for (const [path, text] of sources) {
    if (!path.startsWith("lib/")) continue;
    for (const name of exportsOf(text)) {
      if (FOR_TESTS.has(name) || describesExport(text, name)) continue;
      const readers = readersOf(path, name);
      if (readers.some((from) => !from.startsWith("tests/"))) continue;
      unread.push(`${path}: ${name}${readers.length > 0 ? " (read by tests only)" : ""}`);
    }
  }
  assertEquals(unread, []);
});

/** A file that only passes the name on does not count, but those that read it there do. */
function readersOf(path: string, name: string): string[] {
  return imports.filter(({ to, names }) => to === path && (names.includes(name) || names.includes("*")))
    .flatMap(({ from, passesOn }) => passesOn ? readersOf(from, name) : [from]);
}

function exportsOf(text: string): string[] {
  const declared = text.matchAll(
    /^export (?:abstract |async |declare )*(?:class|function|const|interface|type) (\w+)/gm,
  );
  return [...declared].map(([, name]) => name!);
}

/** A type that is part of another export's face: whoever calls that needs the name, though no file here writes it. */
function describesExport(text: string, name: string): boolean {
  const isType = new RegExp(`^export (interface|type) ${name}\\b`, "m").test(text);
  return isType && text.match(new RegExp(`\\b${name}\\b`, "g"))!.length > 1;
}

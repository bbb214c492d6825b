/**
 * Nothing floats: no command, import, image or action in the tree resolves to another thing on another day. Debian's
 * packages are fixed by the release of Debian (packages.ts).
 */
import { join, relative } from "node:path";
import { fileURLToPath } from "node:url";
import { assert, assertEquals } from "./support/assert.ts";

const ROOT = fileURLToPath(new URL("../", import.meta.url));
const VERSION = String.raw`v?\d+\.\d+\.\d+(?![\w.]*[*x])`;
/** Not written by hand, or not text. */
// deno-fmt-ignore
const APART = /^(\.git|build|coverage|node_modules|bench\/results|deploy\/dot-proxy\.schema\.json|dot-proxy|tests\/pinned_test\.ts)$|\.(png|lock)$|package-lock\.json$/;

interface Rule {
  readonly name: string;
  /** A use; the rest of the line names the used package. */
  readonly use: RegExp;
  /** How a use must go on where it is fixed; without it every use is a fault. */
  readonly fixed?: RegExp;
}

// deno-fmt-ignore
const RULES: readonly Rule[] = [
  { name: "npx", use: /\bnpx /g, fixed: new RegExp(String.raw`^npx (--?[\w-]+ )*"?(@[\w-]+\/)?[\w.-]+@(${VERSION}|\$DENO\b)`) },
  { name: "npm", use: /\bnpm (?=(i|install|add|exec|x|update|init|create)\b)/g },
  { name: "pnpm, yarn, bun", use: /\b(pnpm|yarn|bunx?) (?=(i|install|add|dlx|x)\b)/g },
  { name: "npm ci", use: /\bnpm ci\b/g, fixed: /^npm ci .*--ignore-scripts/ },
  { name: "import", use: /\b(npm|jsr):(?=\/?@?[a-z])/g, fixed: new RegExp(String.raw`^(npm|jsr):\/?(@[\w-]+\/)?[\w.-]+@${VERSION}`) },
  { name: "import by address", use: /\b(from|import\() ?"https?:/g },
  { name: "lock", use: /--(no-lock|frozen=false|frozen-lockfile=false|lock-write|reload)\b/g },
  { name: "deno install", use: /\bdeno (install|add|update|upgrade|outdated)\b/g },
  // deploy/bundle.ts alone puts the locked bundler in place first.
  { name: "bundler", use: /\bdeno compile\b[^"\n]*--bundle\b|\bdeno bundle --|"bundle", "--/g },
  { name: "pip", use: /\b(pip3?|pipx|uvx|uv) (?=(install|run|tool)\b)/g },
  { name: "cargo", use: /\b(cargo|gem|brew) (?=install\b)/g },
  { name: "go", use: /\bgo (?=(install|run|get) [\w.-]+\/)/g, fixed: new RegExp(String.raw`^go (install|run|get) [\w./-]+@${VERSION}`) },
  { name: "download", use: /\b(curl|wget)\b[^\n]*(\|| -[-\w]*[oO]\b)/g },
  { name: "apt", use: /\bapt(-get)? (--?[\w=-]+ )*install\b/g },
  { name: "image", use: /(?<=^\s*(- )?image: )["\w]/gm, fixed: new RegExp(String.raw`^"?([\w./-]+:${VERSION}|[\w./:-]+@sha256:[0-9a-f]{64})`) },
  { name: "base image", use: /^FROM /gm, fixed: /^FROM .*@sha256:[0-9a-f]{64}\b/ },
  { name: "image without a version", use: /\b[\w./-]+:latest\b/g },
  { name: "action", use: /(?<=^\s*(- )?)uses: (?!\.\/)/gm, fixed: /^uses: [\w./-]+@[0-9a-f]{40} # v\d+\.\d+\.\d+$/ },
];

/** Uses that are no faults, each with the reason. */
const EXCEPTIONS: Readonly<Record<string, string>> = {
  "tests/packages.ts: apt": "the packages of the tests: the release of Debian fixes them",
  "deploy/bundle.ts: bundler": "puts the locked bundler in place first",
  "tests/e2e/tools.ts: apt": "the words to a person who lacks a program",
  "bench/rig/programs.ts: apt": "the words to a person who lacks a program",
  "tests/e2e/executable.ts: lock": "runs a bundle, which imports no package",
};
Deno.test("no command line, import, image or action in the tree is without a fixed version", () => {
  const faults = files(ROOT).flatMap((path) =>
    faultsOf(Deno.readTextFileSync(path)).map((fault) => `${relative(ROOT, path)}: ${fault}`)
  );
  const unexpected = faults.filter((fault) =>
    !Object.keys(EXCEPTIONS).some((each) => fault.startsWith(each))
  );
  assertEquals(unexpected, []);
  const unused = Object.keys(EXCEPTIONS).filter((each) => !faults.some((fault) => fault.startsWith(each)));
  assertEquals(unused, [], "exceptions without a use");
});

Deno.test("the check finds what floats, and nothing else", () => {
  const floating = [
    "npx --yes deno task test",
    "npx --yes @cyclonedx/cdxgen@12 --type deno",
    "npm install --global deno@2.9.6",
    "npm ci",
    'import x from "npm:yaml@^2.9.1";',
    '"yaml": "npm:yaml@2.9"',
    'import x from "jsr:@std/assert";',
    'import x from "https://example.org/x.ts";',
    "deno cache --quiet --frozen=false main.ts",
    "deno run --no-lock main.ts",
    "deno compile --bundle --output x main.ts",
    "pip install build",
    "go install sigs.k8s.io/kustomize/v5@latest",
    "curl -fsSL https://example.org/install.sh | sh",
    "sudo apt-get -y install dig",
    "    image: busybox:latest",
    "    image: node:22-bookworm",
    "FROM denoland/deno:2.9.6 AS build",
    "      - uses: actions/checkout@v4",
  ];
  for (const line of floating) assert(faultsOf(line).length > 0, line);
  const fixed = [
    "npx --yes deno@2.9.6 task test",
    'npx --yes "deno@$DENO" "$@"',
    "npm ci --prefix tools --ignore-scripts",
    '"yaml": "npm:yaml@2.9.1"',
    "go install sigs.k8s.io/kustomize/kustomize/v5@v5.4.3",
    "    image: busybox:1.37.0",
    `FROM denoland/deno:2.9.6@sha256:${"0".repeat(64)} AS build`,
    `      - uses: actions/checkout@${"0".repeat(40)} # v4.2.0`,
  ];
  for (const line of fixed) assertEquals(faultsOf(line), []);
});

/** Each use in a text that is not fixed: the rule's name and the line. */
function faultsOf(text: string): string[] {
  return RULES.flatMap(({ name, use, fixed }) =>
    [...text.matchAll(use)].flatMap(({ index }) => {
      const [rest = ""] = text.slice(index).split("\n", 1);
      return fixed?.test(rest) ? [] : `${name}: ${rest}`;
    })
  );
}

function files(folder: string): string[] {
  return [...Deno.readDirSync(folder)].flatMap(({ name, isDirectory, isFile }) => {
    const path = join(folder, name);
    if (APART.test(relative(ROOT, path))) return [];
    return isDirectory ? files(path) : isFile ? [path] : [];
  });
}

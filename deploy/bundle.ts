/**
 * Writes the whole program into build/dot-proxy.js. Its bytes depend on the commit alone, neither on the folder nor on
 * the machine, so that two builds of a release can be compared. COMMIT names the commit where git cannot.
 */
import { join, relative } from "node:path";
import { fileURLToPath } from "node:url";
import esbuild from "esbuild/package.json" with { type: "json" };
import { deno, denoFolders } from "./program.ts";

/** Without symbolic links, as the bundler writes paths. */
const ROOT = await Deno.realPath(fileURLToPath(new URL("../", import.meta.url)));
const BUILD = join(ROOT, "build");
const BUNDLE = join(BUILD, "dot-proxy.js");
/** Stands in lib/commands/version.ts, and so once in the bundle. */
const PLACEHOLDER = '"$commit"';
const SOURCE_MAP = /\n\/\/# sourceMappingURL=data:application\/json;base64,(\S+)\s*$/;

const { denoDir, npmCache } = await denoFolders();
const packages = relative(ROOT, await Deno.realPath(npmCache));
await placeBundler();
await Deno.mkdir(BUILD, { recursive: true });
// Apart until it is whole: tests may bundle at the same time, or run the file.
const folder = await Deno.makeTempDir({ dir: BUILD });
const file = join(folder, "dot-proxy.js");
const entry = join(ROOT, "main.ts");
await deno(["bundle", "--platform", "deno", "--sourcemap", "inline", "--output", file, entry]);
await Deno.writeTextFile(file, finished(await Deno.readTextFile(file), await commit()));
// `deno compile` embeds the time of the last change.
await Deno.utime(file, 0, 0);
await Deno.rename(file, BUNDLE);
await Deno.remove(folder);

/**
 * `deno bundle` runs an esbuild that it downloads outside of any lock, unless a file lies where it looks for one. Puts
 * the executable of the locked package there.
 */
async function placeBundler(): Promise<void> {
  const platform = `${Deno.build.os}-${Deno.build.arch === "x86_64" ? "x64" : "arm64"}`;
  const registries = [...Deno.readDirSync(npmCache)].map(({ name }) => name);
  const [locked] = registries
    .map((registry) => join(npmCache, registry, "@esbuild", platform, esbuild.version, "bin/esbuild"))
    .filter(exists);
  if (locked === undefined) throw new Error(`esbuild ${esbuild.version} is not to be had for ${platform}`);
  const place = join(denoDir, "dl", `esbuild-${esbuild.version}-1`);
  await Deno.mkdir(place, { recursive: true });
  const copy = await Deno.makeTempFile({ dir: place });
  await Deno.copyFile(locked, copy);
  await Deno.rename(copy, join(place, `esbuild-${platform}`)); // it may be running
}

/** The commit that is built, with "-dirty" behind it where files differ from it. */
async function commit(): Promise<string> {
  const given = Deno.env.get("COMMIT");
  if (given) return given;
  const args = ["describe", "--always", "--dirty", "--abbrev=40", "--exclude=*"];
  try {
    const { success, stdout } = await new Deno.Command("git", { args, cwd: ROOT, stderr: "null" }).output();
    if (success) return new TextDecoder().decode(stdout).trim();
  } catch (error) {
    if (!(error instanceof Deno.errors.NotFound)) throw error;
  }
  return "unknown";
}

/** The bundle with the commit in it, and without paths of this machine in comments, module names and source map. */
function finished(bundle: string, commit: string): string {
  const [, encoded] = SOURCE_MAP.exec(bundle) ?? [];
  if (encoded === undefined) throw new Error("deno bundle wrote no source map");
  const { sourcesContent: _, ...map }: SourceMap = JSON.parse(decode(encoded));
  const sources = map.sources.map((source) => neutral(relative(ROOT, join(folder, source))));
  const code = neutral(bundle.replace(SOURCE_MAP, "\n"));
  if (code.split(PLACEHOLDER).length !== 2) throw new Error(`${PLACEHOLDER} must stand once in the bundle`);
  const named = code.replace(PLACEHOLDER, () => JSON.stringify(commit));
  const url = `data:application/json;base64,${
    new TextEncoder().encode(JSON.stringify({ ...map, sources })).toBase64()
  }`;
  return `${named}//# sourceMappingURL=${url}\n`;
}

/** Names packages as npm/NAME/…, wherever they lie on this machine. */
function neutral(text: string): string {
  return text.replaceAll(new RegExp(`${RegExp.escape(packages)}/[^/]+/`, "g"), "npm/");
}

function decode(base64: string): string {
  return new TextDecoder().decode(Uint8Array.fromBase64(base64));
}

function exists(path: string): boolean {
  try {
    return Deno.statSync(path).isFile;
  } catch (error) {
    if (error instanceof Deno.errors.NotFound) return false;
    throw error;
  }
}

interface SourceMap {
  readonly sources: readonly string[];
  readonly sourcesContent?: readonly string[];
}

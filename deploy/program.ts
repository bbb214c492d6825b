/**
 * The program without tests and tools: main.ts, lib, and the packages that main.ts reaches, at the versions of deno.lock.
 * No function here asks a registry which versions exist.
 */
import { join } from "node:path";
import { fileURLToPath } from "node:url";

const PROJECT = fileURLToPath(new URL("../", import.meta.url));

/** One package of a lock: its hash, and the packages that it needs, with a version where the lock holds several. */
export interface LockedPackage {
  readonly integrity: string;
  readonly dependencies?: readonly string[];
  readonly optionalDependencies?: readonly string[];
}

/** deno.lock. Keys of `npm` are NAME@VERSION, with the peers that the version was chosen for behind it. */
export interface Lock {
  readonly version: string;
  readonly specifiers: Readonly<Record<string, string>>;
  readonly npm: Readonly<Record<string, LockedPackage>>;
  readonly workspace: { readonly dependencies: readonly string[] };
}

/** The repository's lock, reduced to the packages that main.ts reaches. */
export async function programLock(): Promise<Lock> {
  const lock: Lock = JSON.parse(await Deno.readTextFile(join(PROJECT, "deno.lock")));
  const { modules } = await info(PROJECT);
  const imported = modules.flatMap(({ specifier }) => /^npm:\/(@?[^@]+@[^/]+)/.exec(specifier)?.[1] ?? []);
  const reached = new Set(imported.flatMap((name) => lockedAs(name, lock)));
  for (const key of reached) {
    const { dependencies = [], optionalDependencies = [] } = lock.npm[key]!;
    for (const name of [...dependencies, ...optionalDependencies]) {
      for (const next of lockedAs(name, lock)) reached.add(next);
    }
  }
  const specifiers = only(lock.specifiers, (specifier) => imported.includes(specifier.replace(/^npm:/, "")));
  return {
    version: lock.version,
    specifiers,
    npm: only(lock.npm, (key) => reached.has(key)),
    workspace: { dependencies: Object.keys(specifiers) },
  };
}

/** Writes the program into a folder: its source, and a configuration and a lock of the packages that it reaches. */
export async function copyProgram(folder: string): Promise<void> {
  const lock = await programLock();
  const config = JSON.parse(await Deno.readTextFile(join(PROJECT, "deno.json")));
  const names = lock.workspace.dependencies;
  const imports = only<string>(
    config.imports,
    (name) => names.some((each) => `${config.imports[name]}/`.startsWith(`${each}/`)),
  );
  await Deno.copyFile(join(PROJECT, "main.ts"), join(folder, "main.ts"));
  await copyFolder(join(PROJECT, "lib"), join(folder, "lib"));
  await Deno.writeTextFile(join(folder, "deno.json"), JSON.stringify({ ...config, imports }, null, 2));
  await Deno.writeTextFile(join(folder, "deno.lock"), JSON.stringify(lock, null, 2));
}

/** The packages of a program's folder, where Deno keeps them. */
export async function cachedPackages(folder: string): Promise<CachedPackage[]> {
  return Object.values((await info(folder)).npmPackages);
}

/** Deno's own folder, and where it keeps npm packages in it. */
export async function denoFolders(): Promise<{ readonly denoDir: string; readonly npmCache: string }> {
  return JSON.parse(await deno(["info", "--json"]));
}

/** A package in Deno's cache. */
export interface CachedPackage {
  readonly name: string;
  readonly version: string;
  readonly localPath: string;
}

interface Info {
  readonly modules: readonly { readonly specifier: string }[];
  readonly npmPackages: Readonly<Record<string, CachedPackage>>;
}

async function info(folder: string): Promise<Info> {
  return JSON.parse(await deno(["info", "--json", "main.ts"], folder));
}

/** Runs deno to its end with the configuration and lock of a folder, and resolves with its standard output. */
export async function deno(args: readonly string[], folder = PROJECT): Promise<string> {
  const command = new Deno.Command(Deno.execPath(), { args: [...args], cwd: folder });
  const { success, stdout, stderr } = await command.output();
  if (!success) throw new Error(`deno ${args.join(" ")}: ${new TextDecoder().decode(stderr)}`);
  return new TextDecoder().decode(stdout);
}

/** Keys of the lock that a name, with or without a version, means. */
function lockedAs(name: string, { npm }: Lock): string[] {
  return Object.keys(npm).filter((key) =>
    key === name || key.startsWith(`${name}@`) || key.startsWith(`${name}_`)
  );
}

function only<T>(record: Readonly<Record<string, T>>, isWanted: (key: string) => boolean): Record<string, T> {
  return Object.fromEntries(Object.entries(record).filter(([key]) => isWanted(key)));
}

/** Copies a folder, which must not be there yet, with all that it holds. */
export async function copyFolder(from: string, to: string): Promise<void> {
  await Deno.mkdir(to);
  for await (const { name, isDirectory } of Deno.readDir(from)) {
    if (isDirectory) await copyFolder(join(from, name), join(to, name));
    else await Deno.copyFile(join(from, name), join(to, name));
  }
}

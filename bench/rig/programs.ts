/** The programs that the benchmark needs, and the Debian packages that have them. */
import { delimiter, join } from "node:path";

const PACKAGES = {
  "named": "bind9",
  "dig": "bind9-dnsutils",
  "dnsdist": "dnsdist",
  "unbound": "unbound",
  "stubby": "stubby",
  "kresd": "knot-resolver",
  "smartdns": "smartdns",
  "gcc": "gcc libc6-dev libssl-dev",
  "taskset": "util-linux",
} as const;

export type Program = keyof typeof PACKAGES;

/** The servers live in sbin, which an ordinary user's PATH leaves out. */
const DIRECTORIES = [...(Deno.env.get("PATH") ?? "").split(delimiter), "/usr/sbin", "/sbin"];

/** Throws, naming the packages, if a program is not installed. */
export function requirePrograms(): void {
  const missing = (Object.keys(PACKAGES) as Program[]).filter((program) => find(program) === undefined);
  if (missing.length === 0) return;
  const packages = missing.map((program) => PACKAGES[program]).join(" ");
  throw new Error(
    `Cannot run the benchmark without ${
      missing.join(", ")
    }: apt-get install --no-install-recommends ${packages}`,
  );
}

export function pathOf(program: Program): string {
  const path = find(program);
  if (path === undefined) throw new Error(`${program} is not installed`);
  return path;
}

function find(program: Program): string | undefined {
  return DIRECTORIES.map((directory) => join(directory, program)).find(isFile);
}

function isFile(path: string): boolean {
  try {
    return Deno.statSync(path).isFile;
  } catch {
    return false;
  }
}

/** The C programs of the benchmark, compiled anew for each run. */
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { pathOf } from "./programs.ts";

const SOURCES = fileURLToPath(new URL("../native/", import.meta.url));

const PROGRAMS = {
  load: [],
  echo: [],
  relay: [],
  dot_server: ["-lssl", "-lcrypto"],
  slow_clients: [],
  flood: [],
  nodelay: ["-shared", "-fPIC"],
} as const;

/** Paths of the executables, and of the library to preload. Disposing removes them. */
export interface Native extends AsyncDisposable, Readonly<Record<keyof typeof PROGRAMS, string>> {}

export async function compile(): Promise<Native> {
  await using stack = new AsyncDisposableStack();
  const directory = await Deno.makeTempDir({ prefix: "dot-proxy-bench-" });
  stack.defer(() => Deno.remove(directory, { recursive: true }));
  const entries = Object.entries(PROGRAMS).map(async ([name, flags]) => {
    const path = join(directory, name);
    const args = ["-O2", "-Wall", "-Wextra", "-o", path, join(SOURCES, `${name}.c`), ...flags];
    const { code, stderr } = await new Deno.Command(pathOf("gcc"), { args, stderr: "piped" }).output();
    if (code !== 0) throw new Error(`gcc ${args.join(" ")}:\n${new TextDecoder().decode(stderr)}`);
    return [name, path];
  });
  const paths: Record<keyof typeof PROGRAMS, string> = Object.fromEntries(await Promise.all(entries));
  const owned = stack.move();
  return { ...paths, [Symbol.asyncDispose]: () => owned.disposeAsync() };
}

/**
 * The program as one executable file. Where `denort` cannot be had, a stand-in: a script with the same bundle, run by deno
 * with the permissions that are shipped.
 */
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";
import { deno } from "../../deploy/program.ts";

const PROJECT = fileURLToPath(new URL("../../", import.meta.url));

/** The executable that the gate has compiled; undefined where it could only compile. */
export const COMPILED = Deno.env.get("DOT_PROXY_BINARY") || undefined;

/** Files of the stand-in, as a folder of the root where it runs. */
export const STAND_IN = "/usr/lib/dot-proxy-stand-in";

/** First line of a stand-in; the bundle follows. The kernel runs the interpreter with the script's path and the arguments. */
export const SHEBANG = `#!${STAND_IN}/launch\n`;

/** Puts into a root whatever a stand-in at `/usr/local/bin/dot-proxy` needs: deno, a shell, and how to start the one by the other. */
export async function installStandIn(root: string): Promise<void> {
  if (COMPILED !== undefined) console.log("surroundings: the program is the compiled one");
  else console.log("surroundings: denort cannot be had here; a stand-in runs the same bundle on deno");
  const directory = join(root, STAND_IN);
  await Deno.mkdir(directory, { recursive: true });
  await Deno.copyFile(Deno.execPath(), join(directory, "deno"));
  await Deno.copyFile("/bin/dash", join(directory, "sh"));
  const { unstable, permissions, tasks } = JSON.parse(await Deno.readTextFile(join(PROJECT, "deno.json")));
  await Deno.writeTextFile(join(directory, "deno.json"), JSON.stringify({ unstable, permissions }));
  // A worker's module needs a name with an ending.
  await Deno.symlink("/usr/local/bin/dot-proxy", join(directory, "dot-proxy.js"));
  const [program, run, ...flags] = String(tasks.start).split(" ");
  if (program !== "deno" || run !== "run" || flags.pop() !== "main.ts") {
    throw new Error(`The start task of deno.json is not "deno run … main.ts": ${tasks.start}`);
  }
  const launch = [
    `#!${STAND_IN}/sh`,
    "shift",
    `export DENO_DIR=${STAND_IN}/cache DENO_NO_UPDATE_CHECK=1`,
    `exec ${STAND_IN}/deno run --no-lock --config ${STAND_IN}/deno.json ${flags.join(" ")} ` +
    `${STAND_IN}/dot-proxy.js "$@"`,
  ];
  await Deno.writeTextFile(join(directory, "launch"), `${launch.join("\n")}\n`, { mode: 0o755 });
}

/** Puts the executable, or its stand-in, into a root. */
export async function installExecutable(root: string): Promise<void> {
  const path = join(root, "usr/local/bin/dot-proxy");
  await Deno.mkdir(dirname(path), { recursive: true });
  if (COMPILED !== undefined) return await Deno.copyFile(COMPILED, path);
  await installStandIn(root);
  await Deno.writeTextFile(path, SHEBANG + await bundle(), { mode: 0o755 });
}

/** The program as one file of JavaScript. Leaves the bundler in deno's cache. */
export async function bundle(): Promise<string> {
  await deno(["task", "--quiet", "bundle"]);
  return await Deno.readTextFile(join(PROJECT, "build/dot-proxy.js"));
}

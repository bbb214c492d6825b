/**
 * The executable: two builds of one commit are the same, whatever folder and cache they are made in. The runtime, denort,
 * comes from Deno's server; deno takes its place here, so that the result is compared and read but not started.
 */
import { Buffer } from "node:buffer";
import { createHash } from "node:crypto";
import { basename, join } from "node:path";
import { fileURLToPath } from "node:url";
import { copyFolder, denoFolders } from "../../deploy/program.ts";
import { assert, assertEquals, assertMatch } from "../support/assert.ts";

const PROJECT = fileURLToPath(new URL("../../", import.meta.url));
const COMMIT = "0123456789abcdef0123456789abcdef01234567";

Deno.test("two builds of one commit, in other folders and with other caches, are the same to the byte", async () => {
  await using first = await build("first");
  await using second = await build("second/and/deeper");
  assertEquals(digest(first.executable), digest(second.executable));
  for (const { folder, executable } of [first, second]) {
    assertEquals(
      Buffer.from(executable.buffer).indexOf(basename(folder)),
      -1,
      "it names the builder's folder",
    );
  }
});

Deno.test("the bundle names its commit and its runtime, and its stack traces name the source", async () => {
  await using built = await build("once", { isCompiled: false });
  const version = await run(["--permission-set", built.bundle, "--version"]);
  assertMatch(
    version.stdout,
    new RegExp(`^dot-proxy \\d\\S+ \\(commit ${COMMIT}, Deno \\d\\S+, V8 \\d\\S+\\)\\n$`),
  );
  // Without the right to read the whole environment the start fails, and the error is printed with its stack.
  const failed = await run(["--allow-env=NODE_*,DENO_*,SSL*", built.bundle]);
  assertEquals(failed.code, 1);
  assertMatch(failed.stderr, /\/main\.ts:\d+:\d+\)?\n/);
});

interface Build extends AsyncDisposable {
  /** A folder of this test, in which all of the build took place. */
  readonly folder: string;
  /** Path of the bundle. */
  readonly bundle: string;
  /** The executable; empty unless it was compiled. */
  readonly executable: Uint8Array;
}

/** Builds in a folder of its own, with a cache of its own that shares the packages of this machine. */
async function build(inside: string, { isCompiled = true } = {}): Promise<Build> {
  await using stack = new AsyncDisposableStack();
  const folder = await Deno.makeTempDir({ prefix: "dot-proxy-e2e-" });
  stack.defer(() => Deno.remove(folder, { recursive: true }));
  const source = join(folder, inside);
  await Deno.mkdir(join(source, "deploy"), { recursive: true });
  const { npmCache } = await denoFolders();
  await Deno.mkdir(join(folder, "cache"));
  await Deno.symlink(npmCache, join(folder, "cache/npm"));
  for (const path of ["deno.json", "deno.lock", "main.ts", "deploy/bundle.ts", "deploy/program.ts"]) {
    await Deno.copyFile(join(PROJECT, path), join(source, path));
  }
  await copyFolder(join(PROJECT, "lib"), join(source, "lib"));
  const env = { COMMIT, DENO_DIR: join(folder, "cache"), DENORT_BIN: Deno.execPath(), NO_COLOR: "1" };
  const task = ["task", "--quiet", isCompiled ? "compile" : "bundle"];
  const { success, stderr } = await new Deno.Command(Deno.execPath(), { args: task, cwd: source, env })
    .output();
  assert(success, new TextDecoder().decode(stderr));
  const owned = stack.move();
  return {
    folder,
    bundle: join(source, "build/dot-proxy.js"),
    executable: isCompiled ? await Deno.readFile(join(source, "dot-proxy")) : new Uint8Array(),
    [Symbol.asyncDispose]: () => owned.disposeAsync(),
  };
}

async function run(args: readonly string[]) {
  const command = new Deno.Command(Deno.execPath(), {
    args: ["run", "--quiet", "--no-prompt", ...args],
    cwd: PROJECT,
    env: { NO_COLOR: "1" },
  });
  const { code, stdout, stderr } = await command.output();
  return { code, stdout: new TextDecoder().decode(stdout), stderr: new TextDecoder().decode(stderr) };
}

function digest(bytes: Uint8Array): string {
  return createHash("sha256").update(bytes).digest("hex");
}

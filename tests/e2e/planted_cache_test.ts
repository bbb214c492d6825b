/**
 * A compiled program would run the content of $TMPDIR/deno-compile-NAME.cache, of any owner, and would wait for ever
 * for a FIFO of that name. Ours has no such cache: deploy_compile_test.ts reads so in the executable, also where denort
 * cannot be had. Here the program starts among such files; from source and from the bundle, deno looks for none.
 */
import { join } from "node:path";
import { assertEquals } from "../support/assert.ts";
import { isLeftOut } from "../support/left_out.ts";
import { Child, withLogs } from "../support/processes/child.ts";
import { proxyCommand } from "./proxy_command.ts";
import { succeed } from "./tools.ts";

const NAMES = ["deno-compile-dot-proxy.cache", "deno-compile-dot-proxy.js.cache", "deno-compile-main.cache"];
/** Debian's number of the user `nobody`. */
const STRANGER = 65534;
const PLANTED = "planted by a stranger\n";

const plants: Record<string, (path: string) => Promise<void>> = {
  "a file": (path) => Deno.writeTextFile(path, PLANTED),
  "a FIFO": async (path) => void await succeed("mkfifo", [path]),
};

for (const [what, plant] of Object.entries(plants)) {
  Deno.test({
    name: `${what} in TMPDIR that a stranger has named like a compiled program's cache changes nothing`,
    ignore: isLeftOut(Deno.build.os === "linux" && Deno.uid() === 0),
    async fn() {
      await using stack = new AsyncDisposableStack();
      const directory = await Deno.makeTempDir({ prefix: "dot-proxy-e2e-" });
      stack.defer(() => Deno.remove(directory, { recursive: true }));
      await Deno.chmod(directory, 0o1777);
      const paths = NAMES.map((name) => join(directory, name));
      for (const path of paths) {
        await plant(path);
        await Deno.chmod(path, 0o666);
        await Deno.chown(path, STRANGER, STRANGER);
      }
      const before = paths.map(state);
      const { env, ...command } = await proxyCommand([
        "--listen",
        "127.0.0.1:0",
        "--upstream",
        "127.0.0.1:1853",
      ]);
      const child = new Child("dot-proxy", { ...command, env: { ...env, TMPDIR: directory } });
      stack.use(child);
      await withLogs([child], async () => {
        await child.says(/forwarding .*\n/);
        assertEquals(await child.stop("SIGTERM"), 0);
      });
      assertEquals(paths.map(state), before);
      assertEquals([...Deno.readDirSync(directory)].map(({ name }) => name).sort(), [...NAMES].sort());
    },
  });
}

/** All that a program could have changed or read of it. */
function state(path: string) {
  const { uid, size, mtime, isFifo } = Deno.lstatSync(path);
  return { uid, size, mtime, text: isFifo ? "" : Deno.readTextFileSync(path) };
}

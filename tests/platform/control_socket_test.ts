import { join } from "node:path";
import { ControlSocket, requestReload } from "../../lib/platform/control_socket.ts";
import { UsageError } from "../../lib/core/errors.ts";
import { FakeTime } from "../support/fakes/time.ts";
import { assert, assertEquals, assertMatch, assertRejects } from "../support/assert.ts";

/** A directory as systemd makes one for a service; its environment. */
function runtimeDirectory(): Disposable & {
  readonly environment: Record<string, string>;
  readonly path: string;
} {
  const path = Deno.makeTempDirSync({ prefix: "dot-proxy-test-" });
  return {
    path,
    environment: { RUNTIME_DIRECTORY: path },
    [Symbol.dispose]: () => Deno.removeSync(path, { recursive: true }),
  };
}

function fail(error: unknown): never {
  throw error;
}

Deno.test("who asks for a reload learns that it succeeded, or why it failed, each from a reload of its own", async () => {
  using directory = runtimeDirectory();
  const outcomes = [undefined, "line 3: timeout: no\nsuch thing", undefined];
  let reloads = 0;
  const reload = () => Promise.resolve(outcomes[reloads++]);
  using _ = new ControlSocket({ environment: directory.environment, reload, onTrouble: fail });
  await requestReload(directory.environment);
  const error = await assertRejects(() => requestReload(directory.environment), Error);
  assertEquals(error.message, "failed: line 3: timeout: no\nsuch thing");
  await requestReload(directory.environment);
  assertEquals(reloads, 3);
});

Deno.test("the first of several runtime directories has the socket, and one that a killed process left is replaced", async () => {
  using directory = runtimeDirectory();
  const environment = { RUNTIME_DIRECTORY: `${directory.path}:/nowhere` };
  Deno.writeTextFileSync(join(directory.path, "control"), "");
  const error = await assertRejects(() => requestReload(environment), Error);
  assertMatch(error.message, /^cannot connect to "/);
  const reload = () => Promise.resolve(undefined);
  using _ = new ControlSocket({ environment, reload, onTrouble: fail });
  await requestReload(environment);
});

Deno.test("without a runtime directory there is no socket, and who asks is pointed to the signal", async () => {
  const reload = () => Promise.reject(new Error("not to be called"));
  using _ = new ControlSocket({ environment: {}, reload, onTrouble: fail });
  const error = await assertRejects(() => requestReload({}), UsageError);
  assertMatch(error.message, /RUNTIME_DIRECTORY .*SIGHUP/);
});

Deno.test("a control socket that cannot be opened is reported and does no harm", () => {
  const troubles: unknown[] = [];
  const reload = () => Promise.resolve(undefined);
  const environment = { RUNTIME_DIRECTORY: "/nowhere" };
  using _ = new ControlSocket({ environment, reload, onTrouble: (error) => troubles.push(error) });
  assertEquals(troubles.length, 1);
  assert(troubles[0] instanceof Error);
});

Deno.test("ControlSocket reports failures to accept once, and serves the client after them", async () => {
  using directory = runtimeDirectory();
  const { listen } = Deno;
  let failures = 3;
  const failing = (options: Deno.UnixListenOptions & { transport: "unix" }) => {
    const listener = listen(options);
    const accept = listener.accept.bind(listener);
    listener.accept = () =>
      failures-- > 0
        ? Promise.reject(Object.assign(new Error("too many open files"), { code: "EMFILE" }))
        : accept();
    return listener;
  };
  const troubles: unknown[] = [];
  const reload = () => Promise.resolve(undefined);
  const onTrouble = (error: unknown) => void troubles.push(error);
  using time = new FakeTime();
  Deno.listen = failing as unknown as typeof listen;
  try {
    using _ = new ControlSocket({ environment: directory.environment, reload, onTrouble });
    await time.pass(3_000);
    assertEquals([troubles.length, failures], [1, -1]);
    await requestReload(directory.environment);
  } finally {
    Deno.listen = listen;
  }
  assertEquals(troubles.length, 1);
});

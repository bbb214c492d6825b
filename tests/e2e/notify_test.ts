/** What systemd hears of the program, over a real socket. */
import { join } from "node:path";
import { assert, assertEquals, assertMatch } from "../support/assert.ts";
import { askUdp } from "../support/client.ts";
import { query } from "../support/packets.ts";
import { Child } from "./child.ts";
import { proxyCommand } from "./proxy_process.ts";

Deno.test("systemd hears that it is ready, that it lives, how its upstreams fare, and that it stops", async () => {
  const directory = await Deno.makeTempDir();
  await using stack = new AsyncDisposableStack();
  stack.defer(() => Deno.remove(directory, { recursive: true }));
  const path = join(directory, "notify");
  const socket = Deno.listenDatagram({ transport: "unixpacket", path });
  stack.defer(() => socket.close());
  async function told(): Promise<string> {
    const [bytes] = await socket.receive();
    return new TextDecoder().decode(bytes);
  }
  // Another address than any test uses: the upstream must stay away.
  const command = await proxyCommand(["--listen", "127.0.0.1:0", "--upstream", "127.0.53.10:1"]);
  const env = { ...command.env, NOTIFY_SOCKET: path, WATCHDOG_USEC: "400000" };
  const child = stack.use(new Child("dot-proxy", { ...command, env }));

  assertEquals(await told(), "READY=1");
  assertMatch(child.log, /listening on/, "not before queries are taken");
  assertEquals(await told(), "STATUS=no upstream has been asked yet");
  for (let i = 0; i < 3; i++) assertEquals(await told(), "WATCHDOG=1");

  const port = Number(/127\.0\.0\.1:(\d+)/.exec(child.log)![1]);
  await askUdp({ hostname: "127.0.0.1", port }, query("example.com"));
  let status = await told();
  while (status === "WATCHDOG=1") status = await told();
  assertMatch(status, /^STATUS=0 of 1 upstreams answer; 127\.0\.53\.10:1: connect: connection refused/);

  const stopped = child.stop();
  let last = await told();
  while (last === "WATCHDOG=1") last = await told();
  assertEquals([last, await stopped], ["STOPPING=1", 0]);
  assert(!/cannot tell systemd/.test(child.log), child.log);
});

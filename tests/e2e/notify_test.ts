/** Notifications to systemd, over a real socket. */
import { assert, assertEquals, assertMatch } from "../support/assert.ts";
import { askUdp } from "../support/clients/plain_client.ts";
import { query } from "../support/packets/packets.ts";
import { Child } from "../support/processes/child.ts";
import { NotifySocket } from "./notify_socket.ts";
import { freePort } from "../support/processes/ports.ts";
import { proxyCommand } from "./proxy_command.ts";

Deno.test("the program notifies systemd of readiness, liveness, upstream status and stop", async () => {
  await using stack = new AsyncDisposableStack();
  const systemd = stack.use(new NotifySocket());
  // Another address than any test uses: the upstream must stay away, and no other test takes a port that was found free.
  const hostname = "127.0.53.10";
  const address = { hostname, port: freePort(hostname) };
  const listen = `${hostname}:${address.port}`;
  const command = await proxyCommand(["--listen", listen, "--upstream", `${hostname}:1`]);
  const env = { ...command.env, NOTIFY_SOCKET: systemd.path, WATCHDOG_USEC: "400000" };
  const child = stack.use(new Child("dot-proxy", { ...command, env }));

  assertEquals(await systemd.told(), "READY=1");
  (await Deno.connect(address)).close(); // not before queries are taken
  assertEquals(await systemd.told(), "STATUS=no upstream has been asked yet");
  for (let i = 0; i < 3; i++) assertEquals(await systemd.told(), "WATCHDOG=1");

  await askUdp(address, query("example.com"));
  let status = await systemd.told();
  while (status === "WATCHDOG=1") status = await systemd.told();
  assertMatch(status, /^STATUS=0 of 1 upstreams answer; 127\.0\.53\.10:1: connect: connection refused/);

  const stopped = child.stop();
  let last = await systemd.told();
  while (last === "WATCHDOG=1") last = await systemd.told();
  assertEquals([last, await stopped], ["STOPPING=1", 0]);
  assert(!/cannot notify systemd/.test(child.log), child.log);
});

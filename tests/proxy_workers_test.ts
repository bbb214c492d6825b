/** Several threads on the same ports: who answers, and that all of them do as they are told. */
import { ListenError } from "../lib/frontend/listeners.ts";
import { assertRight, names, question } from "./support/asking.ts";
import { assertEquals, assertRejects, assertThrows } from "./support/assert.ts";
import { Authority } from "./support/certificates.ts";
import { askTcp, askUdp, TcpClient, UdpClient } from "./support/client.ts";
import { DotServer, Hold } from "./support/dot_server.ts";
import { read } from "./support/packets.ts";
import { RunningProxy, type RunningProxyOptions } from "./support/running_proxy.ts";

const AUTHORITY = await Authority.create();
const CERTIFICATE = await AUTHORITY.issue({ addresses: ["127.0.0.1", "::1"] });

/** So many clients that a thread without one is not to be seen in the age of the universe's last second: (2/3)^100. */
const CLIENTS = 100;

/** Threads that have sent something upstream: each has connections of its own. */
function threadsAt(server: DotServer): number {
  return server.connections.length;
}

/** A proxy on three threads, all of which listen. */
async function startThree(
  server: DotServer,
  options: Partial<RunningProxyOptions> = {},
): Promise<RunningProxy> {
  const all = { upstreams: [server], caCerts: [AUTHORITY.pem], udpBatch: "auto", workers: 3 } as const;
  const proxy = new RunningProxy({ ...all, ...options });
  await proxy.proxy.started;
  return proxy;
}

/** Asks with a new client for each name, one after the other. */
async function askAll(ask: typeof askUdp, proxy: RunningProxy, prefix: string): Promise<void> {
  for (const name of names(CLIENTS, prefix)) {
    assertRight([read(await ask(proxy.address, question(name)))]);
  }
}

for (const hostname of ["127.0.0.1", "::1"] as const) {
  Deno.test(`clients of ${hostname} are spread over the threads, and each gets its answer`, async () => {
    await using server = await DotServer.start({ certificate: CERTIFICATE });
    await using proxy = await startThree(server, { listen: [{ hostname, port: 0, required: true }] });
    await askAll(askUdp, proxy, "udp");
    assertEquals(threadsAt(server), 3);
    await askAll(askTcp, proxy, "tcp");
    assertEquals([threadsAt(server), server.received], [3, 2 * CLIENTS]);
  });
}

Deno.test("without batches one thread takes all datagrams, and TCP clients are spread", async () => {
  await using server = await DotServer.start({ certificate: CERTIFICATE });
  await using proxy = await startThree(server, { udpBatch: "off" });
  await askAll(askUdp, proxy, "udp");
  assertEquals(threadsAt(server), 1);
  await askAll(askTcp, proxy, "tcp");
  assertEquals(threadsAt(server), 3);
});

Deno.test("queries are answered while the other threads have not come up yet", async () => {
  await using server = await DotServer.start({ certificate: CERTIFICATE });
  await using proxy = new RunningProxy({ upstreams: [server], caCerts: [AUTHORITY.pem], workers: 3 });
  assertRight([read(await askUdp(proxy.address, question("early.test")))]);
  await proxy.proxy.started;
});

Deno.test("a stop answers what is in flight in every thread, and then all is closed", async () => {
  const hold = new Hold();
  await using server = await DotServer.start({ certificate: CERTIFICATE, behaviour: hold.behaviour });
  await using proxy = await startThree(server, { maxTcpClients: 3 * CLIENTS });
  await using clients = new AsyncDisposableStack();
  const udp = names(CLIENTS, "udp").map((name) => ({ name, client: new UdpClient(proxy.address) }));
  for (const { name, client } of udp) {
    clients.use(client);
    await client.send(question(name));
  }
  const tcp = [];
  for (const name of names(CLIENTS, "tcp")) {
    const client = clients.use(await TcpClient.connect(proxy.address));
    await client.send(question(name));
    tcp.push(client);
  }
  await server.until(({ received }) => received === 2 * CLIENTS);
  const stopped = proxy.proxy.stop(5000);
  await hold.release();
  assertRight(await Promise.all(udp.map(async ({ client }) => read(await client.receive()))));
  assertRight(await Promise.all(tcp.map(async (client) => read((await client.receive())!))));
  await stopped;
  await server.until(({ open }) => open === 0);
  await assertRejects(() => TcpClient.connect(proxy.address), Error, "ECONNREFUSED");
  Deno.listenDatagram({ ...proxy.address, transport: "udp" }).close(); // nobody has it any more
});

for (const transport of ["udp", "tcp"] as const) {
  Deno.test(`a port that another program has, though it would share it, is not shared (${transport})`, () => {
    using stack = new DisposableStack();
    const taken = transport === "tcp"
      ? Deno.listen({ hostname: "127.0.0.1", port: 0, reusePort: true })
      : Deno.listenDatagram({ transport, hostname: "127.0.0.1", port: 0 });
    stack.defer(() => taken.close());
    const { port } = taken.addr as Deno.NetAddr;
    const listen = [{ hostname: "127.0.0.1", port, required: true }];
    assertThrows(
      () => new RunningProxy({ upstreams: ["127.0.53.9:1"], workers: 2, listen }),
      ListenError,
      "another program listens there",
    );
  });
}

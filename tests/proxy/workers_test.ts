/** Several threads on the same ports: which one answers, and commands to all of them. */
import { withTicks } from "../frontend/fixture.ts";
import { ListenError } from "../../lib/frontend/listeners.ts";
import type { ThreadStatus } from "../../lib/observe/thread_totals.ts";
import { assertRight, names, question } from "../support/clients/query_client.ts";
import { assert, assertEquals, assertRejects, assertThrows } from "../support/assert.ts";
import { Authority } from "../support/servers/certificates.ts";
import { askTcp, askUdp, TcpClient, UdpClient } from "../support/clients/plain_client.ts";
import { DotServer, Hold } from "../support/servers/dot_server.ts";
import { read } from "../support/packets/packets.ts";
import { RunningProxy, type RunningProxyOptions } from "../support/processes/running_proxy.ts";

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

function answersOf({ counts }: ThreadStatus): number {
  return counts.answers.reduce((sum, each) => sum + each, 0);
}

/** The threads that have come up and gone down, in order. */
function changes({ events }: RunningProxy): string[] {
  return events.flatMap((event) => event.kind === "thread" ? [`${event.thread} ${event.state}`] : []);
}

/** An address that the proxy may listen on. */
function freeAddress(hostname: string) {
  using listener = Deno.listen({ hostname, port: 0 });
  return { hostname, port: listener.addr.port, required: true };
}

/** Resolves when no thread listens there any more: each closes its sockets on a message. */
async function free(address: { hostname: string; port: number }): Promise<void> {
  for (let looks = 0; looks < 500; looks++) {
    try {
      Deno.listen(address).close();
      return Deno.listenDatagram({ transport: "udp", ...address }).close();
    } catch {
      await new Promise((resolve) => setTimeout(resolve, 10));
    }
  }
  throw new Error(`${address.hostname}:${address.port} is not given back`);
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
  using stack = new DisposableStack();
  const socket = Deno.listenDatagram({ transport: "udp", hostname: "127.0.0.1", port: 0 });
  stack.defer(() => socket.close());
  await socket.send(question("early.test"), { ...proxy.address, transport: "udp" }); // other clients would wait
  assertRight([read((await socket.receive())[0])]);
  await proxy.proxy.started;
});

Deno.test("each thread counts its answers; upstreams and cache are reported as one", async () => {
  await using server = await DotServer.start({ certificate: CERTIFICATE });
  const admin = { hostname: "127.0.0.1", port: 0 };
  await using proxy = await startThree(server, { admin, cacheSize: 3 << 20 });
  const { proxy: threads } = proxy;
  await askAll(askUdp, proxy, "once");
  const [second = 0, third = 0] = (await threads.refreshStats()).map(answersOf);
  assert(second > 0 && third > 0 && second + third < CLIENTS, `${second} and ${third}`);
  assertEquals(threads.cache, {
    entries: CLIENTS,
    bytes: threads.cache!.bytes,
    maxBytes: 3 << 20,
    evictions: 0,
  });
  const [upstream, ...others] = threads.upstreams;
  assertEquals([upstream?.state, upstream?.connections, others.length], ["up", 3, 0]);
  assertEquals(proxy.states, ["up"]);
});

Deno.test("a flush reaches all threads", async () => {
  await using server = await DotServer.start({ certificate: CERTIFICATE });
  await using proxy = await startThree(server, { cacheSize: 3 << 20 });
  const cache = proxy.proxy.cacheControl!;
  for (const expected of [3, 6]) {
    for (const _ of names(CLIENTS)) assertRight([read(await askUdp(proxy.address, question("same.test")))]);
    assertEquals(server.received, expected);
    assertEquals((await cache.inspect("same.test")).length, 1);
    assertEquals(await cache.flush({ name: "same.test" }), 3);
    assertEquals(await cache.inspect("same.test"), []);
  }
  await assertRejects(async () => await cache.flush({ name: "a..b" }), TypeError);
});

Deno.test("all threads go over to another configuration: upstreams, and where to listen", async () => {
  await using before = await DotServer.start({ certificate: CERTIFICATE });
  await using after = await DotServer.start({ certificate: CERTIFICATE });
  await using proxy = await startThree(before);
  await askAll(askUdp, proxy, "before");
  await proxy.reconfigure({ upstreams: [after] });
  await askAll(askUdp, proxy, "after");
  await askAll(askTcp, proxy, "also");
  assertEquals([before.received, threadsAt(after), after.received], [CLIENTS, 3, 2 * CLIENTS]);
  const listen = freeAddress("127.0.0.2");
  await proxy.reconfigure({ listen: [listen] });
  for (const name of names(CLIENTS, "there")) assertRight([read(await askTcp(listen, question(name)))]);
  const told = await proxy.proxy.refreshStats();
  assertEquals([told.length, threadsAt(after), after.received], [2, 3, 3 * CLIENTS]);
  await assertRejects(() => TcpClient.connect(proxy.address), Error, "ECONNREFUSED");
});

Deno.test("all threads follow the addresses that a wildcard stands for as they come and go", async () => {
  await using server = await DotServer.start({ certificate: CERTIFICATE });
  const { networkInterfaces } = Deno;
  using stack = new DisposableStack();
  stack.defer(() => Deno.networkInterfaces = networkInterfaces);
  const all = networkInterfaces().filter(({ address }) => address === "127.0.0.1");
  const [here, comes] = ["127.0.0.1", "127.0.0.5"];
  const host = (...addresses: string[]) => {
    Deno.networkInterfaces = () => addresses.flatMap((address) => all.map((each) => ({ ...each, address })));
  };
  host(here);
  const { port } = freeAddress(comes);
  const listen = [{ hostname: "0.0.0.0", port, required: true }];
  const options = {
    upstreams: [server],
    caCerts: [AUTHORITY.pem],
    udpBatch: "auto",
    workers: 3,
    listen,
  } as const;
  const { made, tick } = withTicks(() => new RunningProxy(options));
  await using proxy = made;
  await proxy.proxy.started;
  for (const addresses of [[here, comes], [here], [here, comes]]) {
    host(...addresses);
    tick();
    if (!addresses.includes(comes)) await free({ hostname: comes, port });
    assertEquals(proxy.proxy.addresses.map(({ hostname }) => hostname), addresses);
  }
  // Each thread takes clients of the new address, once it has heard of it.
  for (let i = 0; threadsAt(server) < 3; i++) {
    assertRight([read(await askUdp({ hostname: comes, port }, question(`name${i}.test`)))]);
    assert(i < 10 * CLIENTS);
  }
  assertEquals([threadsAt(server), changes(proxy)], [3, []]);
});

Deno.test("a thread with an uncaught exception reports it and starts again", async () => {
  await using server = await DotServer.start({ certificate: CERTIFICATE });
  const module = new URL("../support/processes/failing_worker.ts", import.meta.url).href;
  await using proxy = await startThree(server, { module });
  await askAll(askUdp, proxy, "before");
  using stack = new DisposableStack();
  const channel = stack.adopt(new BroadcastChannel("fail"), (channel) => channel.close());
  channel.postMessage("now");
  await proxy.until((proxy) => changes(proxy).length === 4);
  assertEquals(changes(proxy).toSorted(), ["2 down", "2 up", "3 down", "3 up"]);
  const defects = proxy.events.filter((event) => event.kind === "internal error");
  assertEquals(defects.map(({ error }) => (error as Error).message), Array(2).fill("the test wants it"));
  await server.until(({ open }) => open === 1);
  await askAll(askUdp, proxy, "after");
  await askAll(askTcp, proxy, "also");
  assertEquals([server.received, server.open], [3 * CLIENTS, 3]);
  proxy.events.length = 0; // the defects were wanted
});

Deno.test("a stop answers pending queries in every thread, and then closes all", async () => {
  const hold = new Hold();
  await using server = await DotServer.start({ certificate: CERTIFICATE, behavior: hold.behavior });
  await using proxy = await startThree(server);
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
  // On a busy machine the proxy also sends probes and copies of queries.
  const asked = [...names(CLIENTS, "udp"), ...names(CLIENTS, "tcp")];
  await server.until((server) => asked.every((name) => server.receivedFor(name) > 0));
  const stopped = proxy.proxy.stop(5000);
  await hold.release();
  assertRight(await Promise.all(udp.map(async ({ client }) => read(await client.receive()))));
  assertRight(await Promise.all(tcp.map(async (client) => read((await client.receive())!))));
  await stopped;
  await server.until(({ open }) => open === 0);
  await assertRejects(() => TcpClient.connect(proxy.address), Error, "ECONNREFUSED");
  Deno.listenDatagram({ ...proxy.address, transport: "udp" }).close(); // the port is free
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

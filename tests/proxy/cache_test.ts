/** The cache in its place: real clients in front, a real DNS-over-TLS server behind that counts its queries. */
import { type Config, parseConfig } from "../../lib/config/config.ts";
import { Message } from "../../lib/dns/message.ts";
import { UpstreamError, UsageError } from "../../lib/core/errors.ts";
import { Forwarder } from "../../lib/forwarder.ts";
import { Proxy } from "../../lib/proxy.ts";
import { addressOf } from "../support/packets/answers.ts";
import { askEach, assertRight, extendedErrors, names } from "../support/clients/query_client.ts";
import { assert, assertEquals, assertThrows } from "../support/assert.ts";
import { Authority } from "../support/servers/certificates.ts";
import { UdpClient } from "../support/clients/plain_client.ts";
import { addressed, answering, delayed, DotServer, silent } from "../support/servers/dot_server.ts";
import { ONE_THREAD } from "../support/mode.ts";
import { a, query, type QueryFields, read } from "../support/packets/packets.ts";
import { OPEN } from "../support/fakes/policy.ts";
import { RunningProxy, written } from "../support/processes/running_proxy.ts";

const AUTHORITY = await Authority.create();
const CERTIFICATE = await AUTHORITY.issue({ addresses: ["127.0.0.1"] });
const CACHE = { caCerts: [AUTHORITY.pem], cacheSize: 1 << 20, ...ONE_THREAD };

/** A clock that the test puts forward. */
class Clock {
  #ahead = 0;

  readonly now = (): number => performance.now() + this.#ahead;

  skip(seconds: number): void {
    this.#ahead += seconds * 1000;
  }
}

/** The chain behind the front ends, with its own clock and a real server. */
class Chain implements Disposable {
  readonly clock = new Clock();
  readonly #forwarder: Forwarder;

  constructor(server: DotServer) {
    const line = ["--upstream", written(server.address), "--special-names", "forward"];
    const config = parseConfig(line, {}) as Config;
    const { now } = this.clock;
    this.#forwarder = new Forwarder({
      config,
      caCerts: [AUTHORITY.pem],
      observe: () => {},
      makeRoom: () => false,
      now,
    });
  }

  /** Where the answer came from, and its one address or the RCODE. */
  async tell(name: string, fields: QueryFields = {}): Promise<string> {
    const asked = {
      message: Message.parse(query(name, "A", { edns: {}, ...fields })),
      client: { transport: "udp", address: "127.0.0.1", port: 1 },
      deadline: this.clock.now() + 4_000,
      trace: { source: "upstream", upstream: undefined, attempts: 0 },
    } as const;
    try {
      const { answers, rcode } = read((await this.#forwarder.resolver.resolve(asked)).bytes);
      return `${asked.trace.source}: ${answers[0]?.text ?? rcode}`;
    } catch (error) {
      if (error instanceof UpstreamError) return "error";
      throw error;
    }
  }

  [Symbol.dispose](): void {
    this.#forwarder[Symbol.dispose]();
  }
}

async function away(server: DotServer): Promise<void> {
  server.stopListening();
  for (const connection of server.connections) connection.end();
  await server.until(({ open }) => open === 0);
}

Deno.test("10,000 clients' questions for one cold name are one query, and all are answered", async () => {
  await using server = await DotServer.start({ certificate: CERTIFICATE, behavior: delayed(200) });
  await using proxy = new RunningProxy({ upstreams: [server], ...CACHE, maxTcpClientsPerAddress: 100 });
  const asking = Array<string>(100).fill("cold.test");
  await Promise.all(
    Array.from({ length: 100 }, async () => assertRight(await askEach(proxy.address, asking))),
  );
  assertEquals(server.received, 1);
});

Deno.test("a known answer is repeated without a query, over UDP and TCP, in each client's terms", async () => {
  await using server = await DotServer.start({ certificate: CERTIFICATE });
  await using proxy = new RunningProxy({ upstreams: [server], ...CACHE });
  assertRight(await askEach(proxy.address, names(200)));
  assertRight(await askEach(proxy.address, names(200)));
  using client = new UdpClient(proxy.address);
  for (const [id, fields] of [{}, { edns: {} }, { ad: true }, { edns: { size: 4096 } }].entries()) {
    await client.send(query("NAME7.test", "A", { id, ...fields }));
    const { id: same, question, answers, edns, flags } = read(await client.receive());
    assertEquals([same, question?.name, answers[0]?.text], [id, "NAME7.test", addressOf("name7.test")]);
    assertEquals([edns !== undefined, flags.rd, flags.ra], ["edns" in fields, true, true]);
  }
  assertEquals(server.received, 200);
});

Deno.test("without a cache each question is a query, but for those that are asked at once", async () => {
  await using server = await DotServer.start({ certificate: CERTIFICATE });
  await using proxy = new RunningProxy({ upstreams: [server], ...CACHE, cacheSize: 0 });
  for (let i = 1; i <= 3; i++) {
    assertRight(await askEach(proxy.address, ["a.test", "a.test", "a.test"]));
    assertEquals(server.received, i);
  }
});

Deno.test("the upstream gone, names seen before are answered, first from the cache and then stale; back, fresh again (8767)", async () => {
  await using server = await DotServer.start({ certificate: CERTIFICATE });
  using chain = new Chain(server);
  const right = addressOf("seen.test");
  assertEquals(await chain.tell("seen.test"), `upstream: ${right}`);
  await away(server);
  assertEquals(await chain.tell("seen.test"), `cache: ${right}`);
  assertEquals(await chain.tell("unseen.test"), "error");

  chain.clock.skip(301);
  assertEquals(await chain.tell("seen.test"), `stale: ${right}`);
  const start = performance.now();
  for (let i = 0; i < 100; i++) assertEquals(await chain.tell("seen.test"), `stale: ${right}`);
  assert(performance.now() - start < 500, "at once thereafter");

  await server.listen();
  chain.clock.skip(31);
  assertEquals(await chain.tell("seen.test"), `stale: ${right}`);
  await server.until(({ received }) => received === 2);
  // The answer to the query in the background is on its way.
  while (await chain.tell("seen.test") !== `cache: ${right}`) {
    await new Promise((done) => setTimeout(done, 5));
  }
  assertEquals(server.receivedFor("seen.test"), 2);
});

Deno.test("the upstream silent, stale data is answered within 2 s (8767-2)", async () => {
  await using server = await DotServer.start({ certificate: CERTIFICATE });
  using chain = new Chain(server);
  await chain.tell("seen.test");
  chain.clock.skip(301);
  server.behavior = silent;
  const start = performance.now();
  assertEquals(await chain.tell("seen.test"), `stale: ${addressOf("seen.test")}`);
  assert(performance.now() - start < 2_000, `${performance.now() - start} ms`);
});

Deno.test("a failing name is asked for once a second, then less often (9520-2)", async () => {
  await using server = await DotServer.start({
    certificate: CERTIFICATE,
    behavior: answering(addressed({ rcode: 2 })),
  });
  using chain = new Chain(server);
  const asked: number[] = [];
  for (let second = 0; second < 16; second++) {
    for (let i = 0; i < 5; i++) assert((await chain.tell("broken.test")).endsWith(": 2"));
    asked.push(server.received);
    chain.clock.skip(1);
  }
  assertEquals(asked, [1, 2, 2, 3, 3, 3, 3, 4, 4, 4, 4, 4, 4, 4, 4, 5]);
});

Deno.test("queries with and without CD are separate queries to the server as well (4035)", async () => {
  await using server = await DotServer.start({
    certificate: CERTIFICATE,
    behavior: answering((query, connection) =>
      addressed({ rcode: query[3]! & 0x10 ? 0 : 2 })(query, connection)
    ),
  });
  using chain = new Chain(server);
  for (let i = 0; i < 3; i++) {
    assert((await chain.tell("bogus.test")).endsWith(": 2"));
    assert((await chain.tell("bogus.test", { cd: true })).endsWith(addressOf("bogus.test")));
  }
  assertEquals(server.received, 2);
});

Deno.test("an answer is older for who asks later, and is asked for again in time", async () => {
  const answer = addressed();
  await using server = await DotServer.start({
    certificate: CERTIFICATE,
    behavior: answering(async (query, connection) => await answer(query, connection)),
  });
  using chain = new Chain(server);
  await chain.tell("a.test");
  chain.clock.skip(269);
  await chain.tell("a.test");
  assertEquals(server.received, 1);
  chain.clock.skip(2);
  for (let i = 0; i < 5; i++) assert((await chain.tell("a.test")).startsWith("cache"));
  await server.until(({ received }) => received === 2);
});

Deno.test("after a restart with --state-dir known names are answered without an upstream", async () => {
  const stateDir = await Deno.makeTempDir();
  try {
    await using server = await DotServer.start({
      certificate: CERTIFICATE,
      behavior: answering(addressed({ answers: [a("kept.test", "192.0.2.9", 600)] })),
    });
    {
      await using proxy = new RunningProxy({ upstreams: [server], ...CACHE, stateDir });
      await askEach(proxy.address, ["kept.test"]);
      await proxy.proxy.stop(1_000);
    }
    await away(server);
    await using proxy = new RunningProxy({ upstreams: [server], ...CACHE, stateDir });
    await until(() => proxy.proxy.cache!.entries === 1);
    const [answer] = await askEach(proxy.address, ["kept.test"]);
    assertEquals(answer!.answers[0]?.text, "192.0.2.9");
    assertEquals([answer!.rcode, extendedErrors(answer!), server.received], [0, [], 1]);
  } finally {
    await Deno.remove(stateDir, { recursive: true });
  }
});

Deno.test("after a restart with protection against rebinding, nothing is answered that was saved without it", async () => {
  const stateDir = await Deno.makeTempDir();
  try {
    await using server = await DotServer.start({ certificate: CERTIFICATE });
    const found: number[] = [];
    for (const rebindProtection of [false, false, true]) {
      const policy = { ...OPEN, rebindProtection };
      await using proxy = new RunningProxy({ upstreams: [server], ...CACHE, stateDir, policy });
      const isRead = () => proxy.proxy.cache!.entries === 1 || proxy.count("cache file error") === 1;
      if (found.length > 0) await until(isRead);
      const [answer] = await askEach(proxy.address, ["private.test"]);
      found.push(answer!.answers.length);
      await proxy.proxy.stop(1_000);
    }
    assertEquals([found, server.received], [[1, 1, 0], 2]);
  } finally {
    await Deno.remove(stateDir, { recursive: true });
  }
});

async function until(condition: () => boolean): Promise<void> {
  while (!condition()) await new Promise((done) => setTimeout(done, 1));
}

Deno.test("memory that the system refuses is reported with the option", () => {
  const { ArrayBuffer } = globalThis;
  globalThis.ArrayBuffer = class extends ArrayBuffer {
    constructor(length: number) {
      if (length > 2 ** 30) throw new RangeError("Array buffer allocation failed");
      super(length);
    }
  } as ArrayBufferConstructor;
  try {
    const config = parseConfig(["--cache-size", "4GiB"], {}) as Config;
    const reason = "--cache-size: the system does not let a thread have 4096 MiB; choose less";
    assertThrows(() => Proxy.check({ config, caCerts: [] }), UsageError, reason);
  } finally {
    globalThis.ArrayBuffer = ArrayBuffer;
  }
});

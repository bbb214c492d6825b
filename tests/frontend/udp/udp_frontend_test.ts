import { UdpFrontend } from "../../../lib/frontend/udp/udp_frontend.ts";
import { type Library, openLibrary } from "../../../lib/platform/libc.ts";
import { addressOf } from "../../support/packets/answers.ts";
import { assert, assertEquals, assertRejects, assertThrows } from "../../support/assert.ts";
import { askUdp, UdpClient } from "../../support/clients/plain_client.ts";
import {
  addressed,
  atOnce,
  FakeResolver,
  HoldingResolver,
  later,
  type Respond,
} from "../../support/fakes/resolver.ts";
import { padding, query, type QueryFields, read, txt } from "../../support/packets/packets.ts";
import { answererFor, Events, LOOP_BUDGET } from "../fixture.ts";

function frontend(
  resolver: FakeResolver,
  library: Library | undefined,
  events = new Events(),
  hostname = "127.0.0.1",
): UdpFrontend {
  const answerer = answererFor({ resolver, events });
  return new UdpFrontend({
    hostname,
    port: 0,
    answerer,
    loopBudget: LOOP_BUDGET,
    observe: events.observe,
    library,
  });
}

/** Runs a test with and without batches. */
function bothWays(name: string, body: (library: Library | undefined) => Promise<void>): void {
  for (const batch of ["off", "on"] as const) {
    Deno.test(`${name} (--udp-batch ${batch})`, async () => {
      const library = openLibrary(batch);
      try {
        await body(library);
      } finally {
        library?.close();
      }
    });
  }
}

/** The name and the address in a reply, which belong together if it is the right one. */
function nameAndAddress(reply: Uint8Array): [string, string] {
  const { question, answers } = read(reply);
  return [question!.name, answers[0]!.text];
}

bothWays(
  "UdpFrontend sends each of many concurrent clients the reply to its own query (5452-1)",
  async (library) => {
    const resolver = new HoldingResolver();
    using server = frontend(resolver, library);
    const names = Array.from({ length: 150 }, (_, i) => `client-${i}.example`);
    // All have the same ID: only the address distinguishes them.
    const answers = names.map((name) => askUdp(server.address, query(name)));
    await resolver.until(names.length);
    resolver.release(resolver.asked.toReversed());
    const got = await Promise.all(answers);
    assertEquals(got.map(nameAndAddress), names.map((name) => [name, addressOf(name)]));
  },
);

bothWays(
  "UdpFrontend replies under the query's ID when responses arrive in any order (7766-7)",
  async (library) => {
    const resolver = new HoldingResolver();
    using server = frontend(resolver, library);
    using client = new UdpClient(server.address);
    const names = Array.from({ length: 100 }, (_, i) => `query-${i}.example`);
    for (const [id, name] of names.entries()) await client.send(query(name, "A", { id }));
    await resolver.until(names.length);
    resolver.release(resolver.asked.toReversed());
    for (let i = 0; i < names.length; i++) {
      const reply = await client.receive();
      assertEquals(nameAndAddress(reply)[0], names[read(reply).id]);
    }
  },
);

bothWays(
  "UdpFrontend keeps the question of a pending query, not its padding, when more datagrams arrive (BIND CVE-2019-6477)",
  async (library) => {
    const resolver = new HoldingResolver();
    using server = frontend(resolver, library);
    const waiting = Array.from({ length: 40 }, (_, i) => large(`waiting-${i}.example`, { id: i }));
    using client = new UdpClient(server.address);
    for (const [i, bytes] of waiting.entries()) {
      await client.send(bytes);
      await resolver.until(i + 1);
    }
    // More than all receive buffers hold, both answered at once and waited for.
    for (let i = 0; i < 400; i++) {
      resolver.respond = i % 2 ? atOnce : later;
      await askUdp(server.address, large(`later-${i}.example`, { id: 0xffff }));
    }
    const kept = resolver.asked.slice(0, waiting.length);
    const essentials = waiting.map((_, i) => query(`waiting-${i}.example`, "A", { id: i, edns: {} }).toHex());
    assertEquals(kept.map(({ message }) => message.bytes.toHex()), essentials);
    assertEquals(
      kept.map(({ message }) => message.bytes.buffer.byteLength),
      essentials.map((hex) => hex.length / 2),
    );
    resolver.release();
    for (const _ of waiting) {
      const reply = await client.receive();
      assertEquals(nameAndAddress(reply)[0], `waiting-${read(reply).id}.example`);
    }
  },
);

/** A query of some 3,000 bytes. */
function large(name: string, fields: QueryFields): Uint8Array {
  return query(name, "A", { ...fields, edns: { options: [padding(3000)] } });
}

bothWays("UdpFrontend sends an immediate reply while another query is pending", async (library) => {
  const resolver = new HoldingResolver();
  using server = frontend(resolver, library);
  using slow = new UdpClient(server.address);
  await slow.send(query("slow.example"));
  await resolver.until(1);
  const [waiting] = resolver.asked;
  resolver.respond = atOnce;
  assertEquals(nameAndAddress(await askUdp(server.address, query("fast.example")))[0], "fast.example");
  resolver.release([waiting!]);
  assertEquals(nameAndAddress(await slow.receive())[0], "slow.example");
});

/** TXT records of 100 bytes of text each. */
const texts = (count: number): Respond => (query) =>
  addressed(query, { answers: Array.from({ length: count }, () => txt("example.com", ["x".repeat(100)])) });

bothWays(
  "UdpFrontend truncates a reply only if it exceeds the client's size (1035-1, 6891-3, 9715-1, 2181-1)",
  async (library) => {
    const cases: [string, number, QueryFields, number, boolean][] = [
      ["a small one without EDNS", 3, {}, 512, false],
      ["4 KB without EDNS", 36, {}, 512, true],
      ["1 KB without EDNS", 9, {}, 512, true],
      ["1 KB with 1232 offered", 9, { edns: { size: 1232 } }, 1232, false],
      ["4 KB with 1232 offered", 36, { edns: { size: 1232 } }, 1232, true],
      ["4 KB with more offered than this side sends", 36, { edns: { size: 4096 } }, 1232, true],
      ["1 KB with less than 512 offered, which means 512", 9, { edns: { size: 10 } }, 512, true],
      ["a small one with less than 512 offered", 3, { edns: { size: 10 } }, 512, false],
    ];
    for (const [name, count, fields, limit, truncated] of cases) {
      using server = frontend(new FakeResolver(texts(count)), library);
      const reply = await askUdp(server.address, query("example.com", "TXT", fields));
      const { flags, answers } = read(reply);
      assert(reply.length <= limit, `${name}: ${reply.length} bytes`);
      assertEquals([flags.tc, answers.length], [truncated, truncated ? 0 : count], name);
    }
  },
);

bothWays(
  "UdpFrontend serves others when datagrams are empty, short, oversized or malformed",
  async (library) => {
    const [resolver, events] = [new FakeResolver(), new Events()];
    using server = frontend(resolver, library, events);
    using client = new UdpClient(server.address);
    const junk = [0, 1, 11, 12, 512, 1233, 65_507].map((length) => new Uint8Array(length).fill(0xee));
    for (const bytes of [...junk, ...junk]) {
      await client.send(bytes);
      assertEquals(nameAndAddress(await askUdp(server.address, query("example.com")))[0], "example.com");
    }
    assertEquals(resolver.asked.length, 2 * junk.length);
    assertEquals(events.of("socket error"), []);
  },
);

bothWays("UdpFrontend serves others when a client closes before its reply", async (library) => {
  const [resolver, events] = [new HoldingResolver(), new Events()];
  using server = frontend(resolver, library, events);
  for (let i = 1; i <= 20; i++) {
    using client = new UdpClient(server.address);
    await client.send(query("gone.example"));
    await resolver.until(i);
  }
  resolver.release();
  resolver.respond = atOnce;
  assertEquals(nameAndAddress(await askUdp(server.address, query("example.com")))[0], "example.com");
  assertEquals(events.of("socket error"), []);
});

bothWays("UdpFrontend replies to pending queries and frees the port when it stops", async (library) => {
  const resolver = new HoldingResolver();
  using server = frontend(resolver, library, new Events(), "127.0.53.3"); // whose ports no other test takes
  const answers = Array.from(
    { length: 20 },
    (_, i) => askUdp(server.address, query(`under-way-${i}.example`)),
  );
  await resolver.until(answers.length);
  const stopped = server.stop();
  resolver.release(resolver.asked.slice(0, 10));
  resolver.release();
  await stopped;
  const names = (await Promise.all(answers)).map((reply) => nameAndAddress(reply)[0]);
  assertEquals(names, answers.map((_, i) => `under-way-${i}.example`));
  const { hostname, port } = server.address;
  Deno.listenDatagram({ transport: "udp", hostname, port }).close();
});

bothWays(
  "UdpFrontend stops at once when no query is pending, and may be stopped and disposed again",
  async (library) => {
    const server = frontend(new FakeResolver(), library);
    await server.stop();
    await server.stop();
    server[Symbol.dispose]();
  },
);

bothWays("UdpFrontend drops a response that arrives after it was closed", async (library) => {
  const [resolver, events] = [new HoldingResolver(), new Events()];
  const server = frontend(resolver, library, events);
  using client = new UdpClient(server.address);
  await client.send(query("example.com"));
  await resolver.until(1);
  server[Symbol.dispose]();
  resolver.release();
  await assertRejects(() => client.receive({ timeout: 50 }), DOMException);
  assertEquals(events.of("socket error"), []);
});

bothWays("UdpFrontend replies to each of thousands of queries in sequence", async (library) => {
  using server = frontend(new FakeResolver(), library);
  using client = new UdpClient(server.address);
  for (let id = 0; id < 3_000; id++) {
    await client.send(query("example.com", "A", { id }));
    assertEquals(read(await client.receive()).id, id);
  }
});

Deno.test({
  name: "UdpFrontend frees the port when the descriptor is not found",
  ignore: Deno.build.os !== "linux",
  fn() {
    const library = openLibrary("on")!;
    const symbols = { ...library.symbols, getsockopt: () => -1 };
    const taken = Deno.listenDatagram({ transport: "udp", hostname: "127.0.53.4", port: 0 }); // no other test's
    taken.close();
    const place = taken.addr as Deno.NetAddr;
    const answerer = answererFor({ resolver: new FakeResolver() });
    const options = { answerer, loopBudget: LOOP_BUDGET, observe: () => {} };
    const deaf = { ...library, symbols } as Library;
    assertThrows(
      () => new UdpFrontend({ ...place, ...options, library: deaf }),
      Error,
      "no descriptor is bound",
    );
    Deno.listenDatagram(place as Deno.UdpListenOptions & { transport: "udp" }).close();
    library.close();
  },
});

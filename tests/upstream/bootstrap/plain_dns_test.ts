/** Plain DNS exchanges and forged responses (RFC 5452). */

import { composeAddressQuery } from "../../../lib/dns/address_lookup.ts";
import { Type } from "../../../lib/dns/codes.ts";
import type { Message } from "../../../lib/dns/message.ts";
import { plainExchange } from "../../../lib/upstream/bootstrap/plain_dns.ts";
import { assert, assertEquals, assertRejects } from "../../support/assert.ts";
import type { Address } from "../../support/clients/plain_client.ts";
import { a, hex, read, response } from "../../support/packets/packets.ts";
import { type PlainAnswers, PlainDnsServer } from "../../support/servers/plain_dns_server.ts";

const QUERY = composeAddressQuery("dot.test", Type.A);
const now = () => performance.now();

function right(query: Uint8Array, fields: Parameters<typeof response>[1] = {}): Uint8Array {
  return response(query, { answers: [a("dot.test", "192.0.2.1")], ...fields });
}

function ask({ hostname, port }: Address, milliseconds = 5_000): Promise<Message> {
  return plainExchange({ host: hostname, port }, now)(QUERY, now() + milliseconds);
}

Deno.test("plainExchange sends only the question with RD, under a random ID (8310-5)", async () => {
  await using server = await PlainDnsServer.start({ udp: (query) => [right(query)] });
  const answer = await ask(server.address);
  assertEquals(answer.name, "dot.test.");
  assertEquals(
    server.queries[0]!.subarray(2),
    hex(`
      0100 0001 0000 0000 0000  # RD; one question
      03 646f74 04 74657374 00  # dot.test
      0001 0001                 # A, IN
    `),
  );
});

/** Forged responses that are right except for one field. */
const FORGERIES: [what: string, forge: (query: Uint8Array) => Uint8Array][] = [
  ["another ID", (query) => right(query, { id: (query[0]! << 8 | query[1]!) ^ 1 })],
  ["another name", (query) => right(query, { question: { name: "dot.tesu", type: "A" } })],
  ["another type", (query) => right(query, { question: { name: "dot.test", type: "AAAA" } })],
  ["another class", (query) => right(query).with(query.length - 1, 3)],
  ["no question", (query) => right(query, { question: false })],
  ["no response, but the query itself", (query) => query],
  ["half a header", (query) => query.subarray(0, 6)],
  ["nothing", () => new Uint8Array(0)],
];

for (const [what, forge] of FORGERIES) {
  Deno.test(`an answer with ${what} is dropped, and the right one behind it is taken (5452-1)`, async () => {
    await using server = await PlainDnsServer.start({
      udp: (query) => [forge(query), right(query, { rcode: 3, answers: [] })],
    });
    assertEquals((await ask(server.address)).rcode, 3);
  });
}

const FORGERS: [what: string, hostname: string, port: (server: Address) => number][] = [
  ["port", "127.0.0.1", () => 0],
  ["address", "127.0.0.2", ({ port }) => port],
];

for (const [what, hostname, port] of FORGERS) {
  Deno.test(`an answer from another ${what} is dropped, however right it is (5452-1)`, async () => {
    await using server = await PlainDnsServer.start({ udp: () => [] });
    const outcome = assertRejects(() => ask(server.address, 200), Error, "timed out");
    await server.until(({ queries }) => queries.length === 1);
    const forger = Deno.listenDatagram({ transport: "udp", hostname, port: port(server.address) });
    const client = { transport: "udp" as const, hostname: "127.0.0.1", port: server.ports[0]! };
    await forger.send(right(server.queries[0]!), client);
    forger.close();
    await outcome;
  });
}

Deno.test("plainExchange repeats a truncated response over TCP, with the same checks (7766-1)", async () => {
  await using server = await PlainDnsServer.start({
    udp: (query) => [right(query, { tc: true, answers: [] })],
    tcp: (query) => [right(query)],
  });
  assertEquals(read((await ask(server.address)).bytes).answers.length, 1);
  assertEquals([server.queries.length, server.tcp], [2, 1]);
});

Deno.test("plainExchange rejects when a response over TCP is to another question", async () => {
  await using server = await PlainDnsServer.start({
    udp: (query) => [right(query, { tc: true })],
    tcp: (query) => [right(query, { id: (query[0]! << 8 | query[1]!) ^ 1 })],
  });
  await assertRejects(() => ask(server.address), Error, "it answered another question");
});

const SILENCES: [what: string, udp: PlainAnswers][] = [
  ["over UDP", () => []],
  ["over TCP", (query) => [right(query, { tc: true })]],
];

for (const [what, udp] of SILENCES) {
  Deno.test(`a server that is silent ${what} is given up at the deadline, and nothing is left open`, async () => {
    await using server = await PlainDnsServer.start({ udp, tcp: () => [] });
    await assertRejects(() => ask(server.address, 100), Error, "timed out");
  });
}

Deno.test("plainExchange uses another ID and port for each query (5452-2)", async () => {
  await using server = await PlainDnsServer.start({ udp: (query) => [right(query)] });
  for (let i = 0; i < 30; i++) await ask(server.address);
  const ids = new Set(server.queries.map((query) => query[0]! << 8 | query[1]!));
  const ports = new Set(server.ports);
  assert(ids.size >= 28 && ports.size >= 25, `${ids.size} IDs, ${ports.size} ports`);
  const ascending = server.ports.filter((port, i) => port > (server.ports[i - 1] ?? 0)).length;
  assert(ascending < 30, "the ports only count up");
});

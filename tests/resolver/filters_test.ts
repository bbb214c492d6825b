import { Message } from "../../lib/dns/message.ts";
import { parseNetwork } from "../../lib/networks.ts";
import { AnyFilter } from "../../lib/resolver/any.ts";
import { RebindingFilter } from "../../lib/resolver/rebinding.ts";
import { TypeFilter } from "../../lib/resolver/type_filter.ts";
import { extendedErrors } from "../support/asking.ts";
import { assertEquals } from "../support/assert.ts";
import { FakeResolver } from "../support/fake_resolver.ts";
import { a, aaaa, cname, hex, type ResourceRecord, response } from "../support/packets.ts";
import { asked, resolved } from "../support/resolving.ts";

Deno.test("ANY over UDP is one small record; over TCP it is looked up (8482)", async () => {
  const next = new FakeResolver();
  const any = new AnyFilter(next);
  const { rcode, answers, source } = await resolved(any, asked("example.com", "ANY"));
  assertEquals([rcode, answers.length, answers[0]?.type, source], [0, 1, 13, "filtered"]);
  assertEquals(answers[0]?.rdata, Uint8Array.of(7, ...new TextEncoder().encode("RFC8482"), 0));
  assertEquals(next.asked.length, 0);
  await any.resolve(asked("example.com", "ANY", { transport: "tcp" }));
  await any.resolve(asked("example.com", "A"));
  assertEquals(next.asked.length, 2);
});

Deno.test("filtered types are NODATA with a reason, all others go on (8914-3)", async () => {
  const next = new FakeResolver();
  const filter = new TypeFilter([28, 65], next);
  for (const type of ["AAAA", "HTTPS"] as const) {
    const answer = await resolved(filter, asked("example.com", type));
    assertEquals([answer.rcode, answer.answers.length, answer.source], [0, 0, "filtered"]);
    assertEquals(extendedErrors(answer), [{ code: 17, text: `${type} records are not given out here` }]);
    assertEquals(answer.authority.map(({ type, ttl }) => [type, ttl]), [[6, 60]]);
  }
  await filter.resolve(asked("example.com", "A"));
  assertEquals(next.asked.length, 1);
});

const own = ["10.0.0.0/8", "127.0.0.0/8", "fc00::/7", "::1"].map(parseNetwork);
const https = (rdata: string): ResourceRecord => ({
  name: "www.example",
  type: 65,
  class: 1,
  ttl: 60,
  rdata: hex(rdata),
});
const V6 = "00000000000000000000000000000001";

const ANSWERS: [what: string, records: ResourceRecord[], isEmptied: boolean][] = [
  ["a public address", [a("www.example", "192.0.2.1")], false],
  ["a private address", [a("www.example", "10.1.2.3")], true],
  ["one private address among others", [a("www.example", "192.0.2.1"), a("www.example", "127.0.0.1")], true],
  ["behind an alias", [cname("www.example", "b.example"), a("b.example", "10.0.0.1")], true],
  ["a public IPv6 address", [aaaa("www.example", "2001:db8::1")], false],
  ["a private IPv6 address", [aaaa("www.example", "fd00::1")], true],
  ["IPv4 within IPv6", [aaaa("www.example", "::ffff:a01:203")], true],
  ["a hint of HTTPS", [https("0001 00 0004 0004 0a000001")], true],
  ["a hint behind other parameters", [https(`0001 00 0001 0003 026832 0006 0010 ${V6}`)], true],
  ["a public hint", [https("0001 00 0004 0008 c0000201 c0000202")], false],
  ["parameters that run past the end", [https("0001 00 0004 00ff 0a000001")], false],
];

Deno.test("answers that lead into the own network are emptied, and say why (8914-3)", async () => {
  for (const [what, answers, isEmptied] of ANSWERS) {
    const next = new FakeResolver(({ message }) => Message.parse(response(message.bytes, { answers })));
    const answer = await resolved(new RebindingFilter(own, [], next), asked("www.example"));
    assertEquals([answer.rcode, answer.answers.length === 0], [0, isEmptied], what);
    assertEquals(extendedErrors(answer).map(({ code }) => code), isEmptied ? [17] : [], what);
    assertEquals(answer.source, isEmptied ? "filtered" : "upstream", what);
  }
});

Deno.test("named domains may lead into the own network, with all names below", async () => {
  const answers = [a("x", "10.0.0.1")];
  const next = new FakeResolver(({ message }) =>
    Promise.resolve(Message.parse(response(message.bytes, { answers })))
  );
  const filter = new RebindingFilter(own, ["Corp.Example."], next);
  const found = async (name: string) => (await resolved(filter, asked(name))).answers.length;
  assertEquals(await Promise.all(["corp.example", "a.corp.example", "acorp.example"].map(found)), [1, 1, 0]);
});

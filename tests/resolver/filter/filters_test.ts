import fc from "fast-check";
import { Message } from "../../../lib/dns/message.ts";
import { parseNetwork } from "../../../lib/net/ip_network.ts";
import { parseName } from "../../../lib/dns/name.ts";
import { UpstreamError } from "../../../lib/core/errors.ts";
import { BlockFilter } from "../../../lib/resolver/blocklist/block_filter.ts";
import { LocalData } from "../../../lib/resolver/local/local_data.ts";
import { ZoneData } from "../../../lib/resolver/local/zone_data.ts";
import { BlockIndex } from "../../../lib/resolver/blocklist/block_index.ts";
import { parseRecord } from "../../../lib/resolver/local/record_text.ts";
import { AnyFilter } from "../../../lib/resolver/filter/any_filter.ts";
import { DomainSet } from "../../../lib/resolver/names/domain_set.ts";
import { RebindingFilter } from "../../../lib/resolver/filter/rebinding_filter.ts";
import { TypeFilter } from "../../../lib/resolver/filter/type_filter.ts";
import { extendedErrors } from "../../support/clients/query_client.ts";
import { assertEquals } from "../../support/assert.ts";
import { FakeResolver } from "../../support/fakes/resolver.ts";
import { concat } from "../../support/packets/frames.ts";
import {
  a,
  aaaa,
  cname,
  hex,
  record,
  type ResourceRecord,
  response,
  type ResponseFields,
  soa,
  type Type,
} from "../../support/packets/packets.ts";
import { asked, resolved } from "../../support/clients/resolver_client.ts";

Deno.test("ANY over UDP is one small record; over TCP it is resolved (8482)", async () => {
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

const V6 = "00000000000000000000000000000001";

/** A resolver that answers all queries with these records. */
const answering = (fields: ResponseFields) =>
  new FakeResolver(({ message }) => Message.parse(response(message.bytes, fields)));
const https = (rdata: string): ResourceRecord => record("www.example", "HTTPS", hex(rdata), 60);
const rrsig = (covered: Type) =>
  record("www.example", "RRSIG", concat(hex(covered === "AAAA" ? "001c" : "0001"), new Uint8Array(30)));
const told = (records: readonly { type: number; text: string }[]) =>
  records.map(({ type, text }) => `${type} ${text}`);

Deno.test("a filtered type is NODATA with a reason, other types pass, and NXDOMAIN stays (8914-3)", async () => {
  const records = {
    answers: [aaaa("www.example", "2001:db8::1")],
    authority: [record("example", "NS", hex("00"))],
  };
  const filter = new TypeFilter([28], false, answering(records));
  const query = asked("www.example", "AAAA");
  const answer = await resolved(filter, query);
  assertEquals([answer.rcode, answer.answers, answer.source], [0, [], "filtered"]);
  assertEquals(extendedErrors(answer), [{ code: 17, text: "AAAA records are not given out here" }]);
  assertEquals(answer.authority.map(({ name, type, ttl }) => [name, type, ttl]), [["example", 6, 60]]);

  const denied = answering({ rcode: 3, authority: [soa("example")] });
  const denial = await denied.resolve(query);
  denied.respond = () => denial;
  assertEquals(await new TypeFilter([28], false, denied).resolve(query), denial, "as it came");
  const nodata = await resolved(
    new TypeFilter([28], false, answering({ authority: [soa("example")] })),
    query,
  );
  assertEquals([nodata.source, extendedErrors(nodata)], ["filtered", []], "nothing to take out");
  const other = answering({ answers: [a("www.example", "192.0.2.1")] });
  const addresses = await resolved(new TypeFilter([28], false, other), asked("www.example"));
  assertEquals(told(addresses.answers), ["1 192.0.2.1"]);
});

Deno.test("an alias of a filtered name stays, with the target's NODATA", async () => {
  const answers = [cname("www.example", "a.b.net"), aaaa("a.b.net", "2001:db8::1")];
  const filter = new TypeFilter([28], false, answering({ answers }));
  const answer = await resolved(filter, asked("www.example", "AAAA"));
  assertEquals(answer.answers.map(({ name, text }) => `${name} ${text}`), ["www.example a.b.net"]);
  assertEquals(answer.authority.map(({ name }) => name), ["b.net"]);
});

const FILTERED: [what: string, types: number[], record: ResourceRecord, left: string][] = [
  [
    "ipv6hint",
    [28],
    https(`0001 00 0001 0003 026832 0004 0004 c0000201 0006 0010 ${V6}`),
    "000100 0001 0003 026832 0004 0004 c0000201",
  ],
  ["ipv4hint", [1], https(`0001 00 0004 0004 c0000201 0006 0010 ${V6}`), `000100 0006 0010 ${V6}`],
  ["both", [1, 28], https(`0001 00 0004 0004 c0000201 0006 0010 ${V6}`), "000100"],
  [
    "a mandatory hint",
    [28],
    https(`0001 00 0000 0004 0003 0006 0001 0003 026832 0003 0002 01bb 0006 0010 ${V6}`),
    "000100 0000 0002 0003 0001 0003 026832 0003 0002 01bb",
  ],
  ["a hint that alone is mandatory", [28], https(`0001 00 0000 0002 0006 0006 0010 ${V6}`), "000100"],
  ["behind a target", [28], https(`0001 0178 00 0006 0010 ${V6}`), "0001 0178 00"],
];

Deno.test("address hints of HTTPS and SVCB records are filtered like the addresses (9460 §7.3)", async () => {
  for (const [what, types, answer, left] of FILTERED) {
    for (const type of [64, 65]) {
      const next = answering({ answers: [{ ...answer, type }] });
      const shown = await resolved(new TypeFilter(types, false, next), asked("www.example", type));
      assertEquals(shown.answers.map(({ rdata }) => rdata), [hex(left)], what);
      assertEquals([extendedErrors(shown)[0]?.code, shown.source], [17, "upstream"]);
    }
  }
  const next = answering({ answers: [https("0001 00 0004 0004 c0000201")] });
  const query = asked("www.example", "HTTPS");
  const answer = await next.resolve(query);
  next.respond = () => answer;
  assertEquals(await new TypeFilter([28], false, next).resolve(query), answer, "as it came");
});

Deno.test("filtered types are removed from additional records and from ANY, with their signatures", async () => {
  const records = [a("www.example", "192.0.2.1"), aaaa("www.example", "2001:db8::1"), rrsig("AAAA")];
  const any = await resolved(
    new TypeFilter([28], false, answering({ answers: records })),
    asked("www.example", "ANY", { transport: "tcp" }),
  );
  assertEquals(any.answers.map(({ type }) => type), [1]);
  const srv = record("_x.example", "SRV", hex("0001 0001 0050 00"));
  const answer = await resolved(
    new TypeFilter([28], false, answering({ answers: [srv], additional: records })),
    asked("_x.example", "SRV"),
  );
  assertEquals([answer.answers.length, answer.additional.map(({ type }) => type)], [1, [1]]);
});

Deno.test("signed answers for clients that ask for signatures stay whole, unless configured otherwise", async () => {
  const answers = [aaaa("www.example", "2001:db8::1"), rrsig("AAAA")];
  const count = async (filtersSigned: boolean, dnssecOk: boolean, records: ResourceRecord[]) => {
    const filter = new TypeFilter([28], filtersSigned, answering({ answers: records, ad: true }));
    const answer = await resolved(filter, asked("www.example", "AAAA", { edns: { do: dnssecOk } }));
    return [answer.answers.length, answer.flags.ad];
  };
  assertEquals(await count(false, true, answers), [2, true]);
  assertEquals(await count(true, true, answers), [0, false]);
  assertEquals(await count(false, false, answers), [0, false]);
  assertEquals(await count(false, true, answers.slice(0, 1)), [0, false], "not signed");
});

const own = ["10.0.0.0/8", "127.0.0.0/8", "fc00::/7", "::1"].map(parseNetwork);

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

Deno.test("answers with internal addresses are emptied, with a reason (8914-3)", async () => {
  for (const [what, answers, isEmptied] of ANSWERS) {
    const next = new FakeResolver(({ message }) => Message.parse(response(message.bytes, { answers })));
    const answer = await resolved(new RebindingFilter(own, new DomainSet([]), next), asked("www.example"));
    assertEquals([answer.rcode, answer.answers.length === 0], [0, isEmptied], what);
    assertEquals(extendedErrors(answer).map(({ code }) => code), isEmptied ? [17] : [], what);
    assertEquals(answer.source, isEmptied ? "filtered" : "upstream", what);
  }
});

Deno.test("allowed domains and all names below may have internal addresses", async () => {
  const answers = [a("x", "10.0.0.1")];
  const next = new FakeResolver(({ message }) =>
    Promise.resolve(Message.parse(response(message.bytes, { answers })))
  );
  const filter = new RebindingFilter(own, new DomainSet(["Corp.Example."]), next);
  const found = async (name: string) => (await resolved(filter, asked(name))).answers.length;
  assertEquals(await Promise.all(["corp.example", "a.corp.example", "acorp.example"].map(found)), [1, 1, 0]);
});

Deno.test("each filter returns a message or throws UpstreamError for any bytes of a response", async () => {
  const names = new ZoneData();
  names.add(parseRecord("www.example CNAME other.example"));
  const lists = { names: new BlockIndex(), labels: ["ads"] };
  lists.names.add(parseName("ads.example"), { withBelow: true, allows: false }, 0);
  const answers = [
    cname("www.example", "b.example"),
    https(`0001 0178 00 0000 0002 0006 0004 0004 c0000201 0006 0010 ${V6}`),
    aaaa("b.example", "2001:db8::1"),
    rrsig("AAAA"),
  ];
  const fields = { answers, authority: [soa("example")], additional: [aaaa("c.example", "2001:db8::2")] };
  const change = fc.tuple(fc.nat(), fc.nat(255));
  await fc.assert(
    fc.asyncProperty(
      fc.constantFrom<Type>("AAAA", "HTTPS", "ANY"),
      fc.array(change, { maxLength: 6 }),
      async (type, changes) => {
        const next = new FakeResolver(({ message }) => {
          const bytes = response(message.bytes, fields);
          for (const [at, octet] of changes) {
            const records = bytes.length - message.questionEnd;
            bytes[message.questionEnd + at % records] = octet;
          }
          return Message.parse(bytes);
        });
        const blockList = new BlockFilter("nxdomain", new TypeFilter([28], true, next));
        blockList.lists = lists;
        for (const filter of [blockList, new LocalData(names, new TypeFilter([1, 28, 65], false, next))]) {
          try {
            await filter.resolve(asked("www.example", type, { transport: "tcp" }));
          } catch (error) {
            if (!(error instanceof UpstreamError)) throw error;
          }
        }
      },
    ),
    { seed: 9460, numRuns: 3000 },
  );
});

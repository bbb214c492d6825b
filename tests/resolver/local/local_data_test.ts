import { parseHosts } from "../../../lib/resolver/local/hosts_file.ts";
import { LocalData } from "../../../lib/resolver/local/local_data.ts";
import { ZoneData } from "../../../lib/resolver/local/zone_data.ts";
import { parseRecord } from "../../../lib/resolver/local/record_text.ts";
import { addCanaryNames, addSpecialNames } from "../../../lib/resolver/local/special_use_names.ts";
import { Message } from "../../../lib/dns/message.ts";
import { extendedErrors } from "../../support/clients/query_client.ts";
import { assert, assertEquals, assertStringIncludes, assertThrows } from "../../support/assert.ts";
import { FakeResolver } from "../../support/fakes/resolver.ts";
import { a, cname, read, response, type Type } from "../../support/packets/packets.ts";
import { asked, resolved, told } from "../../support/clients/resolver_client.ts";

/** The upstream answers all queries with 198.51.100.9. */
const elsewhere = () =>
  new FakeResolver(({ message }) =>
    Message.parse(response(message.bytes, { answers: [a(message.name, "198.51.100.9")] }))
  );

function special(...routes: string[]): { local: LocalData; next: FakeResolver } {
  const names = new ZoneData();
  addSpecialNames(names, routes);
  const next = elsewhere();
  return { local: new LocalData(names, next), next };
}

function having(...records: string[]): { local: LocalData; next: FakeResolver } {
  const names = new ZoneData();
  for (const record of records) names.add(parseRecord(record));
  const next = elsewhere();
  return { local: new LocalData(names, next), next };
}

const V6 = `${"0.".repeat(31)}`;
const SPECIAL: [name: string, type: Type, answer: string][] = [
  ["localhost", "A", "0 127.0.0.1"],
  ["LocalHost", "AAAA", "0 ::1"],
  ["www.localhost", "A", "0 127.0.0.1"],
  ["localhost", "MX", "0"],
  ["invalid", "A", "0"],
  ["a.invalid", "A", "3"],
  ["www.test", "A", "3"],
  ["printer.local", "A", "3"],
  ["hidden.onion", "AAAA", "3"],
  ["nas.home.arpa", "A", "3"],
  ["resolver.arpa", "SVCB", "0"],
  ["_dns.resolver.arpa", "SVCB", "0"],
  ["1.0.0.127.in-addr.arpa", "PTR", "0 localhost"],
  ["2.0.0.127.in-addr.arpa", "PTR", "3"],
  ["0.0.127.in-addr.arpa", "PTR", "0"],
  ["1.0.0.10.in-addr.arpa", "PTR", "3"],
  ["10.in-addr.arpa", "SOA", "0 10.in-addr.arpa nobody.invalid 1 3600 1200 604800 10800"],
  ["10.in-addr.arpa", "NS", "0 10.in-addr.arpa"],
  ["10.in-addr.arpa", "MX", "0"],
  ["home.arpa", "SOA", "0 home.arpa nobody.invalid 1 3600 1200 604800 10800"],
  ["localhost", "NS", "0 localhost"],
  ["www.localhost", "SOA", "0"],
  ["1.1.16.172.in-addr.arpa", "PTR", "3"],
  ["1.1.31.172.in-addr.arpa", "PTR", "3"],
  ["1.1.168.192.in-addr.arpa", "PTR", "3"],
  ["1.1.254.169.in-addr.arpa", "PTR", "3"],
  ["1.1.64.100.in-addr.arpa", "PTR", "3"],
  ["1.1.127.100.in-addr.arpa", "PTR", "3"],
  [`1.${V6}ip6.arpa`, "PTR", "0 localhost"],
  [`0.${V6}ip6.arpa`, "PTR", "0"],
  ["1.0.0.d.f.ip6.arpa", "PTR", "3"],
  ["1.8.e.f.ip6.arpa", "PTR", "3"],
  ["1.b.e.f.ip6.arpa", "PTR", "3"],
];
const ORDINARY: [name: string, type: Type][] = [
  ["example", "A"],
  ["www.example", "A"],
  ["localhost.example.com", "A"],
  ["nottest", "A"],
  ["1.1.32.172.in-addr.arpa", "PTR"],
  ["1.1.63.100.in-addr.arpa", "PTR"],
  ["1.1.128.100.in-addr.arpa", "PTR"],
  ["1.0.0.c.f.ip6.arpa", "PTR"],
  ["arpa", "NS"],
  [".", "NS"],
  ["home.arpa", "DS"],
];

Deno.test("special-use names and private reverse zones are answered locally (6761, 6303, 7793, 9462)", async () => {
  for (const [name, type, answer] of SPECIAL) {
    const { local, next } = special();
    assertEquals(await told(local, name, type), answer, name);
    assertEquals(next.asked.length, 0, name);
  }
});

Deno.test("names similar to special-use names are forwarded, and so are DS queries for an apex", async () => {
  for (const [name, type] of ORDINARY) {
    const { local, next } = special();
    await local.resolve(asked(name, type));
    assertEquals(next.asked.length, 1, name);
  }
});

Deno.test("a negative answer has the SOA record of its zone, so that clients can cache it (2308-2, 6303)", async () => {
  const { local } = special();
  const { flags, authority, source } = await resolved(local, asked("1.0.0.10.in-addr.arpa", "PTR"));
  assertEquals([flags.aa, source], [true, "local"]);
  assertEquals(authority.map(({ name, ttl, text }) => [name, ttl, text]), [
    ["10.in-addr.arpa", 10800, "10.in-addr.arpa nobody.invalid 1 3600 1200 604800 10800"],
  ]);
});

Deno.test("names within a route are forwarded: a whole zone, a domain above it, or a part of it", async () => {
  const cases: [route: string, name: string, goesOn: boolean][] = [
    ["168.192.in-addr.arpa", "1.1.168.192.in-addr.arpa", true],
    ["in-addr.arpa", "1.1.168.192.in-addr.arpa", true],
    ["1.168.192.in-addr.arpa", "9.1.168.192.in-addr.arpa", true],
    ["1.168.192.in-addr.arpa", "9.2.168.192.in-addr.arpa", false],
    ["corp.test", "www.corp.test", true],
    ["corp.test", "corp.test", true],
    ["corp.test", "www.test", false],
  ];
  for (const [route, name, goesOn] of cases) {
    const { local, next } = special(route);
    await local.resolve(asked(name));
    assertEquals(next.asked.length === 1, goesOn, `${name} with ${route}`);
  }
});

const RECORDS: [record: string, name: string, type: Type, answer: string][] = [
  ["nas.lan A 10.0.0.2", "NAS.lan", "A", "0 10.0.0.2"],
  ["nas.lan. 60 AAAA fd00::2", "nas.lan", "AAAA", "0 fd00::2"],
  ["nas.lan AAAA ::ffff:192.0.2.1", "nas.lan", "AAAA", "0 ::ffff:c000:201"],
  ["nas.lan A 10.0.0.2", "nas.lan", "AAAA", "0"],
  ["lan MX 10 mail.lan", "lan", "MX", "0 10 mail.lan"],
  ["2.0.0.10.in-addr.arpa PTR nas.lan", "2.0.0.10.in-addr.arpa", "PTR", "0 nas.lan"],
  ["nas.lan TXT hello world", "nas.lan", "TXT", '0 "hello world"'],
  ['nas.lan txt "a; \\"b\\"" "c"', "nas.lan", "TXT", '0 "a; \\"b\\"" "c"'],
  ["_ldap._tcp.lan SRV 1 2 389 nas.lan", "_ldap._tcp.lan", "SRV", "0 00010002018503" + "6e6173036c616e00"],
  ["*.dev.lan A 10.0.0.3", "a.b.dev.lan", "A", "0 10.0.0.3"],
  ["*.dev.lan A 10.0.0.3", "a.dev.lan", "TXT", "0"],
  ['nas.lan TXT "\\065\\066"', "nas.lan", "TXT", '0 "AB"'],
  ['nas.lan TXT "\\"a\\\\\\b\\;"', "nas.lan", "TXT", '0 "\\"a\\\\b;"'],
  ["nas.lan TXT a\\;\\032\\066 c", "nas.lan", "TXT", '0 "a; B c"'],
  ['nas.lan TXT "a" b\\ c "d"', "nas.lan", "TXT", '0 "a" "b c" "d"'],
  ["nas.lan TXT v=DKIM1; k=rsa", "nas.lan", "TXT", '0 "v=DKIM1; k=rsa"'],
  ["n\\097s.lan A 10.0.0.2", "nas.lan", "A", "0 10.0.0.2"],
  ["lan MX 10 m\\097il.lan", "lan", "MX", "0 10 mail.lan"],
  ["nas.lan CNAME nas.example", "nas.lan", "A", "0 nas.example 198.51.100.9"],
  ["nas.lan CNAME nas.example", "nas.lan", "CNAME", "0 nas.example"],
];

Deno.test("configured records are answered, and other types of their names get NODATA", async () => {
  for (const [record, name, type, answer] of RECORDS) {
    const { local } = having(record);
    assertEquals(await told(local, name, type), answer, record);
  }
});

Deno.test("records have the configured TTL, or five minutes", async () => {
  const { local } = having("a.lan A 10.0.0.2", "b.lan 7 A 10.0.0.2");
  const ttl = async (name: string) => (await resolved(local, asked(name))).answers[0]!.ttl;
  assertEquals([await ttl("a.lan"), await ttl("b.lan")], [300, 7]);
});

Deno.test("a wildcard does not apply to existing names and empty non-terminals (4592)", async () => {
  const { local, next } = having(
    "*.dev.lan A 10.0.0.3",
    "host.dev.lan A 10.0.0.4",
    "x.deep.dev.lan A 10.0.0.5",
  );
  assertEquals(await told(local, "host.dev.lan"), "0 10.0.0.4");
  assertEquals(await told(local, "other.dev.lan"), "0 10.0.0.3");
  await local.resolve(asked("below.host.dev.lan"));
  await local.resolve(asked("y.deep.dev.lan"));
  await local.resolve(asked("dev.lan"));
  assertEquals(next.names, ["below.host.dev.lan", "y.deep.dev.lan", "dev.lan"]);
});

Deno.test("an alias is followed locally or upstream, and the answer keeps the alias as owner", async () => {
  const { local, next } = having(
    "a.lan CNAME b.lan",
    "b.lan CNAME far.example",
    "c.lan CNAME d.lan",
    "d.lan A 10.0.0.4",
  );
  assertEquals(await told(local, "c.lan"), "0 d.lan 10.0.0.4");
  next.respond = (query) =>
    Promise.resolve().then(() => {
      const answers = [cname("far.example", "farther.example"), a("farther.example", "192.0.2.8")];
      return Message.parse(response(query.message.bytes, { answers }));
    });
  const answer = await resolved(local, asked("A.lan"));
  assertEquals(answer.question?.name, "A.lan");
  assertEquals(answer.answers.map(({ name, text }) => `${name} ${text}`), [
    "A.lan b.lan",
    "b.lan far.example",
    "far.example farther.example",
    "farther.example 192.0.2.8",
  ]);
});

Deno.test("a chain of too many local aliases is SERVFAIL with a reason, without a query to the upstream", async () => {
  const { local, next } = having(
    ...Array.from({ length: 17 }, (_, i) => `a${i}.lan CNAME a${i + 1}.lan`),
    "a17.lan A 10.0.0.1",
  );
  const answer = await resolved(local, asked("a0.lan"));
  assertEquals([answer.rcode, extendedErrors(answer)], [2, [{
    code: 0,
    text: "more than 16 local aliases in a row",
  }]]);
  assertEquals((await resolved(local, asked("a1.lan"))).answers.length, 17);
  assertEquals(next.asked.length, 0);
});

Deno.test("an alias that leads back to itself through the upstream is SERVFAIL with a reason", async () => {
  const { local, next } = having("a.lan CNAME b.lan", "b.lan CNAME far.example");
  next.respond = ({ message }) =>
    Message.parse(response(message.bytes, { answers: [cname("far.example", "A.lan")] }));
  const answer = await resolved(local, asked("a.lan"));
  assertEquals([answer.rcode, answer.answers], [2, []]);
  assertEquals(extendedErrors(answer).map(({ code }) => code), [0]);
});

Deno.test("the target of a wildcard alias is forwarded, and so is an alias for itself", async () => {
  const { local, next } = having(
    "*.w.lan CNAME Out.w.lan",
    "*.w2.lan A 10.0.0.1",
    "exc.w2.lan CNAME exc.w2.lan",
  );
  assertEquals(await told(local, "a.w.lan"), "0 out.w.lan 198.51.100.9");
  assertEquals(await told(local, "OUT.w.lan"), "0 198.51.100.9");
  assertEquals(await told(local, "exc.w2.lan"), "0 198.51.100.9");
  assertEquals(await told(local, "below.exc.w2.lan"), "0 198.51.100.9");
  assertEquals(await told(local, "other.w2.lan"), "0 10.0.0.1");
  assertEquals(next.names, ["out.w.lan", "OUT.w.lan", "exc.w2.lan", "below.exc.w2.lan"]);
});

Deno.test("an empty non-terminal below a wildcard is NODATA (4592 §2.2.2)", async () => {
  const { local, next } = having("*.dev.lan A 10.0.0.3", "x.y.deep.dev.lan A 10.0.0.5");
  for (const name of ["deep.dev.lan", "y.deep.dev.lan"]) assertEquals(await told(local, name), "0", name);
  assertEquals(next.asked.length, 0);
  await local.resolve(asked("dev.lan"));
  assertEquals(next.asked.length, 1, "not below the wildcard");
});

Deno.test("NODATA has the SOA record of a zone above the name, never of the name itself", async () => {
  const names = new ZoneData();
  for (const record of ["nas.lan", "nas.home.arpa", "*.dev.lan", "single"]) {
    names.add(parseRecord(`${record} A 10.0.0.1`));
  }
  addSpecialNames(names, []);
  const local = new LocalData(names, elsewhere());
  const owner = async (name: string, type: Type) =>
    (await resolved(local, asked(name, type))).authority.map(({ name }) => name);
  for (const type of ["AAAA", "SOA", "NS"] as const) {
    assertEquals(await owner("nas.lan", type), ["lan"]);
    assertEquals(await owner("nas.home.arpa", type), ["home.arpa"]);
    assertEquals(await owner("a.dev.lan", type), ["dev.lan"]);
    assertEquals(await owner("single", type), ["."]);
  }
});

Deno.test("canary names and names below them are NXDOMAIN, except with a record or a route", async () => {
  const canaries = ["use-application-dns.net", "mask.icloud.com", "mask-h2.icloud.com"];
  const names = new ZoneData();
  addCanaryNames(names, []);
  const local = new LocalData(names, elsewhere());
  for (const name of canaries) {
    for (const type of ["A", "AAAA", "HTTPS", "DS"] as const) {
      assertEquals(await told(local, name, type), "3", name);
    }
    const answer = await resolved(local, asked(`a.${name}`));
    assertEquals([answer.rcode, answer.authority.map(({ name }) => name)], [3, [
      name.replace(/^[^.]+\./, ""),
    ]]);
    assertEquals(extendedErrors(answer).map(({ code }) => code), [4]);
  }
  assertEquals(await told(local, "icloud.com"), "0 198.51.100.9");
  assertEquals(await told(local, "xmask.icloud.com"), "0 198.51.100.9");

  const own = new ZoneData();
  own.add(parseRecord("mask.icloud.com A 10.0.0.1"));
  own.add(parseRecord("mask-h2.icloud.com CNAME mask-h2.icloud.com"));
  addCanaryNames(own, ["use-application-dns.net", "com"]);
  const other = new LocalData(own, elsewhere());
  assertEquals(await told(other, "mask.icloud.com"), "0 10.0.0.1");
  assertEquals(await told(other, "mask-h2.icloud.com"), "0 198.51.100.9");
  assertEquals(await told(other, "use-application-dns.net"), "0 198.51.100.9");
});

Deno.test("the answer for an alias keeps the target's TC flag, and is about as long as the target's answer", async () => {
  const { local, next } = having("a.lan CNAME a-name-of-some-length.example");
  const addresses = Array.from({ length: 60 }, (_, i) => `192.0.2.${i}`);
  next.respond = ({ message }) =>
    Message.parse(
      response(message.bytes, { tc: true, answers: addresses.map((each) => a(message.name, each)) }),
    );
  const query = asked("a.lan");
  const { bytes } = await local.resolve(query);
  const shown = read(bytes);
  assertEquals(shown.flags.tc, true);
  assertEquals(
    shown.answers.slice(1).map(({ name, text }) => `${name} ${text}`),
    addresses.map((each) => `a-name-of-some-length.example ${each}`),
  );
  assert(bytes.length < 12 + 11 + 60 + 60 * 16, `${bytes.length} octets`);
});

Deno.test("an answer for a name that is public elsewhere has EDE 4 (8914-3)", async () => {
  const names = new ZoneData();
  names.add(parseRecord("www.example.com A 10.0.0.2"), true);
  names.add(parseRecord("nas.lan A 10.0.0.2"));
  const local = new LocalData(names, elsewhere());
  const codes = async (name: string) =>
    extendedErrors(await resolved(local, asked(name))).map(({ code }) => code);
  assertEquals([await codes("www.example.com"), await codes("nas.lan")], [[4], []]);
});

Deno.test("a malformed record is rejected with the form that its type takes", () => {
  const cases: [string, string][] = [
    ["", "is not a record; write 'NAME TYPE DATA'"],
    ["nas.lan", "is not a record"],
    ["nas.lan A", "is not a record"],
    ["nas.lan HTTPS 1 .", "with one of the types A, AAAA"],
    ["nas.lan A 10.0.0", "A takes an IPv4 address"],
    ["nas.lan AAAA 10.0.0.1", "AAAA takes an IPv6 address"],
    ["nas.lan MX mail.lan", "MX takes PREFERENCE NAME"],
    ["nas.lan MX 70000 mail.lan", "MX takes"],
    ["nas.lan 700000 A 10.0.0.1", "TTL of more than"],
    ["a..b A 10.0.0.1", "label of 0 bytes"],
    [". A 10.0.0.1", "the root"],
    ['nas.lan TXT "a', "TXT takes text"],
    ["nas.lan TXT \\256", "TXT takes text"],
    ["nas.lan TXT \\06", "TXT takes text"],
    ["nas.lan TXT a\\", "is not a record"],
    ["n\\1s.lan A 10.0.0.1", "a backslash without"],
  ];
  for (const [text, reason] of cases) {
    const error = assertThrows(() => parseRecord(text), TypeError);
    assertStringIncludes((error as Error).message, reason, text);
  }
});

Deno.test("a hosts file answers the names of an address, and PTR queries with the first name (hosts(5))", async () => {
  const { records, ignored } = parseHosts(`
# comment
127.0.0.1 localhost
10.0.0.2\tnas.lan nas   # the box
fd00::2 nas.lan
10.0.0.2 other.lan
fe80::1%lo0 localhost
nonsense
10.0.0.3
10.0.0.4 a..b`);
  assertEquals(ignored, 4);
  const names = new ZoneData();
  for (const record of records) names.add(record);
  addSpecialNames(names, []);
  const local = new LocalData(names, elsewhere());
  const cases: [string, Type, string][] = [
    ["nas.lan", "A", "0 10.0.0.2"],
    ["nas", "A", "0 10.0.0.2"],
    ["nas.lan", "AAAA", "0 fd00::2"],
    ["nas.lan", "MX", "0"],
    ["2.0.0.10.in-addr.arpa", "PTR", "0 nas.lan"],
    ["3.0.0.10.in-addr.arpa", "PTR", "3"],
    ["localhost", "A", "0 127.0.0.1"],
    ["localhost", "AAAA", "0 ::1"],
    [`2.${"0.".repeat(27)}0.0.d.f.ip6.arpa`, "PTR", "0 nas.lan"],
  ];
  for (const [name, type, answer] of cases) {
    assertEquals(await told(local, name, type), answer, `${name} ${type}`);
  }
});

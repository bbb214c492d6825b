import { assertEquals, assertThrows } from "../assert.ts";
import {
  a,
  aaaa,
  cname,
  hex,
  keepAlive,
  padding,
  query,
  read,
  record,
  response,
  soa,
  txt,
  TYPE,
} from "./packets.ts";

const QUERY = hex(`
  1234        # ID
  0120        # RD, AD
  0001 0000 0000 0001
  07 6578616d706c65 03 636f6d 00  # example.com
  001c 0001   # AAAA IN
  00 0029     # OPT at the root
  04d0        # UDP payload size 1232
  00 00 8000  # upper RCODE, version 0, DO
  000c        # RDLENGTH
  000b 0000           # edns-tcp-keepalive without a timeout
  000c 0004 00000000  # padding`);

const RESPONSE = hex(`
  1234 8180   # QR, RD, RA
  0001 0002 0001 0000
  03 777777 07 6578616d706c65 03 636f6d 00  # octet 12: www.example.com, example.com at octet 16
  0001 0001
  c00c 0005 0001 0000003c 0006  # www.example.com CNAME
    03 667470 c010              #   octet 45: ftp.example.com
  c02d 0001 0001 0000003c 0004  # the CNAME's target, found in RDATA
    c0000201                    #   192.0.2.1
  c010 0006 0001 80000000 0018  # SOA of example.com, the TTL's highest bit set
    c010 c02d
    00000001 00000002 00000003 00000004 ffffffff`);

Deno.test("a query is composed octet for octet as the RFCs lay it out", () => {
  const edns = { do: true, options: [keepAlive(), padding(4)] };
  assertEquals(query("example.com", "AAAA", { ad: true, edns }), QUERY);
});

Deno.test("a query is read back with its EDNS options", () => {
  const { id, flags, question, edns, additional } = read(QUERY);
  assertEquals(id, 0x1234);
  assertEquals(flags, {
    qr: false,
    aa: false,
    tc: false,
    rd: true,
    ra: false,
    z: false,
    ad: true,
    cd: false,
  });
  assertEquals(question, { name: "example.com", type: TYPE.AAAA, class: 1 });
  assertEquals(additional, []);
  const options = [{ code: 11, value: hex("") }, { code: 12, value: hex("00000000") }];
  assertEquals(edns, { size: 1232, version: 0, do: true, options });
});

Deno.test("names are followed through compression, in owners and in RDATA", () => {
  const { answers, authority } = read(RESPONSE);
  assertEquals(answers.map(({ name, type, ttl, text }) => [name, type, ttl, text]), [
    ["www.example.com", TYPE.CNAME, 60, "ftp.example.com"],
    ["ftp.example.com", TYPE.A, 60, "192.0.2.1"],
  ]);
  assertEquals(authority.map(({ name, ttl, text }) => [name, ttl, text]), [
    ["example.com", 2147483648, "example.com ftp.example.com 1 2 3 4 4294967295"],
  ]);
});

Deno.test("a response repeats ID, RD, CD and question of its query, and has EDNS because the query had", () => {
  const asked = query("Example.COM", "A", { id: 7, cd: true, edns: {} });
  const { id, flags, question, edns } = read(response(asked));
  assertEquals(id, 7);
  assertEquals(flags, { qr: true, aa: false, tc: false, rd: true, ra: true, z: false, ad: false, cd: true });
  assertEquals(question, { name: "Example.COM", type: TYPE.A, class: 1 });
  assertEquals(edns, { size: 1232, version: 0, do: false, options: [] });
  assertEquals(read(response(query("example.com"))).edns, undefined);
  assertEquals(read(response(asked, { edns: false, question: false })), {
    ...read(response(asked)),
    edns: undefined,
    question: undefined,
  });
});

Deno.test("an owner that is the question's name is composed as a pointer", () => {
  const asked = query("a.test", "A", { id: 1 });
  assertEquals(
    response(asked, { answers: [a("a.test", "192.0.2.1", 60)] }),
    hex(`0001 8180 0001 0001 0000 0000
      01 61 04 74657374 00 0001 0001
      c00c 0001 0001 0000003c 0004 c0000201`),
  );
});

Deno.test("records of each kind are read back as composed", () => {
  const answers = [
    a("b.test", "192.0.2.255"),
    aaaa("b.test", "2001:db8::1"),
    aaaa("b.test", "::"),
    aaaa("b.test", "1:2:3:4:5:6:7:8"),
    cname("b.test", "c.test."),
    txt("b.test", ["one", 'tw"o']),
    soa("test", { minimum: 60 }),
    record("b.test", "SVCB", hex("0001 00")),
  ];
  const decoded = read(response(query("a.test"), { answers })).answers;
  assertEquals(decoded.map(({ text }) => text), [
    "192.0.2.255",
    "2001:db8::1",
    "::",
    "1:2:3:4:5:6:7:8",
    "c.test",
    '"one" "tw\\"o"',
    "ns.example hostmaster.example 1 7200 900 1209600 60",
    "000100",
  ]);
  assertEquals(decoded.map(({ text: _, ...composed }) => composed), answers);
});

Deno.test("an RCODE above 15 is split between header and OPT", () => {
  const asked = query("a.test", "A", { edns: {} });
  assertEquals(read(response(asked, { rcode: 23 })).rcode, 23);
  assertThrows(() => response(query("a.test"), { rcode: 16 }), RangeError, "needs EDNS");
});

Deno.test("a name with dots and octets beyond ASCII in its labels survives", () => {
  const name = "a\\.b.\\000\\255\\\\.test";
  assertEquals(read(query(name)).question?.name, name);
  assertEquals(query(name).slice(12, -4), hex("03 612e62 03 00ff5c 04 74657374 00"));
  assertEquals(read(query(".")).question?.name, ".");
  assertThrows(() => query("a..test"), RangeError, "1 to 63");
  assertThrows(() => query(`${"a".repeat(64)}.test`), RangeError, "1 to 63");
  assertThrows(() => query(`${"a.".repeat(127)}b`), RangeError, "255");
});

const HEADER = "0001 8180 0001 0000 0000 0000";
const MALFORMED: [string, string, string][] = [
  ["an empty message", "", "too early"],
  ["a header cut short", "0001 8180 0001 0000 0000 00", "too early"],
  ["two questions", "0001 0100 0002 0000 0000 0000  00 0001 0001  00 0001 0001", "one question"],
  ["a question cut short", `${HEADER} 01 61 00 0001 00`, "too early"],
  ["a name cut short", `${HEADER} 01 61`, "within a name"],
  ["a label cut short", `${HEADER} 05 61`, "within a label"],
  ["a label of the reserved type 10", `${HEADER} 80 0001 0001`, "neither a length nor a pointer"],
  ["a pointer to itself", `${HEADER} c00c 0001 0001`, "backwards"],
  ["a pointer ahead", `${HEADER} c010 0001 0001 00`, "backwards"],
  ["a loop of labels and a pointer", `${HEADER} 01 61 c00c 0001 0001`, "backwards"],
  ["a name of 256 octets", `${HEADER} ${"01 61".repeat(127)} 01 00`, "255"],
  ["octets after the last record", `${HEADER} 00 0001 0001 00`, "left over"],
  ["a record missing", "0001 8180 0000 0001 0000 0000", "within a name"],
  [
    "an A record of five octets",
    "0001 8180 0000 0001 0000 0000 00 0001 0001 00000000 0005 0102030405",
    "left over",
  ],
  [
    "an A record of three octets",
    "0001 8180 0000 0001 0000 0000 00 0001 0001 00000000 0003 010203",
    "too early",
  ],
  [
    "a CNAME longer than its RDATA",
    "0001 8180 0000 0001 0000 0000 00 0005 0001 00000000 0001 01 61 00",
    "label",
  ],
  ["an OPT among the answers", "0001 8180 0000 0001 0000 0000 00 0029 04d0 00000000 0000", "OPT"],
  ["an OPT below the root", "0001 8180 0000 0000 0000 0001 01 61 00 0029 04d0 00000000 0000", "OPT"],
  [
    "two OPTs",
    "0001 8180 0000 0000 0000 0002 00 0029 04d0 00000000 0000 00 0029 04d0 00000000 0000",
    "OPT",
  ],
  [
    "an option beyond its OPT",
    "0001 8180 0000 0000 0000 0001 00 0029 04d0 00000000 0004 000c 0001",
    "too early",
  ],
];

for (const [what, text, message] of MALFORMED) {
  Deno.test(`${what} is not read`, () => {
    assertThrows(() => read(hex(text)), RangeError, message);
  });
}

Deno.test("hexadecimal text may hold comments, and nothing else that is not a digit", () => {
  assertEquals(hex("00 ff # cafe\n 0A"), Uint8Array.of(0, 255, 10));
  assertThrows(() => hex("0"), SyntaxError);
  assertThrows(() => hex("zz"), SyntaxError);
});

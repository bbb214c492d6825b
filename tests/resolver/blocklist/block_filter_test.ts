import fc from "fast-check";
import { Message } from "../../../lib/dns/message.ts";
import { nameToString, parseName } from "../../../lib/dns/name.ts";
import { UpstreamError } from "../../../lib/core/errors.ts";
import { BlockFilter } from "../../../lib/resolver/blocklist/block_filter.ts";
import { type ListFile, type ListReport, readLists } from "../../../lib/resolver/blocklist/list_loader.ts";
import { ListParser } from "../../../lib/resolver/blocklist/list_parser.ts";
import { BlockIndex } from "../../../lib/resolver/blocklist/block_index.ts";
import { extendedErrors } from "../../support/clients/query_client.ts";
import { assert, assertEquals, assertThrows } from "../../support/assert.ts";
import { FakeResolver } from "../../support/fakes/resolver.ts";
import { concat } from "../../support/packets/frames.ts";
import { composeName } from "../../support/packets/names.ts";
import { a, cname, hex, query, record, response, type Type } from "../../support/packets/packets.ts";
import { asked, resolved, told } from "../../support/clients/resolver_client.ts";

const utf8 = new TextEncoder();

/** The names of a line. A final "*" marks a rule for all names below, and a leading "+" an allow rule. */
function lineSays(text: string): [understood: boolean, ...names: string[]] {
  const line = new ListParser();
  const names: string[] = [];
  const bytes = utf8.encode(text);
  const understood = line.parse(bytes, 0, bytes.length, ({ withBelow, allows }) => {
    names.push(`${allows ? "+" : ""}${nameToString(line.name, 0)}${withBelow ? "*" : ""}`);
  });
  return [understood, ...names];
}

const LINES: [line: string, ...says: ReturnType<typeof lineSays>][] = [
  ["", true],
  ["# comment", true],
  ["  ! comment", true],
  ["[Adblock Plus 2.0]", true],
  ["0.0.0.0 ads.example", true, "ads.example."],
  ["127.0.0.1\tAds.Example\ttracker.example # both\r", true, "ads.example.", "tracker.example."],
  [":: ads.example", true, "ads.example."],
  ["fe80::1%lo0 localhost", true, "localhost."],
  ["0.0.0.0 0.0.0.0", false],
  ["0.0.0.0 ads.example bad..name", false, "ads.example."],
  ["0.0.0.0 ads.example/path", false],
  ["ads.example", true, "ads.example.*"],
  ["*.ads.example", true, "ads.example.*"],
  ["ads.example.", true, "ads.example.*"],
  ["ads.example # comment", true, "ads.example.*"],
  ["_dmarc.xn--bcher-kva.example", true, "_dmarc.xn--bcher-kva.example.*"],
  ["face.b00c.ad.de", true, "face.b00c.ad.de.*"],
  ["||ads.example^", true, "ads.example.*"],
  ["||*.ads.example^|", true, "ads.example.*"],
  ["||ads.example^$important", true, "ads.example.*"],
  ["@@||good.example^", true, "+good.example.*"],
  ["||ads.example^$third-party", false],
  ["||ads.example", false],
  ["||ads.example/banner^", false],
  ["|https://ads.example^", false],
  ["@@ads.example", false],
  ["ads.example##.banner", false],
  ["/banner[0-9]+/", false],
  ["1.2.3.4", false],
  ["ads.example other.example", false],
  ["bücher.example", false],
  [".", false],
  ["a".repeat(64) + ".example", false],
  ["a.".repeat(130), false],
];

Deno.test("ListParser accepts comments, hosts lines, domains and rules for domains, and ignores other lines", () => {
  for (const [line, ...says] of LINES) assertEquals(lineSays(line), says, line);
});

Deno.test("ListParser ends on any line without an exception, and yields only names", () => {
  const alphabet = "abcZ09.-_ \t#!@|^$*[]/:%=~,ä\r\0";
  const text = fc.string({ unit: fc.constantFrom(...alphabet), maxLength: 300 });
  fc.assert(
    fc.property(fc.oneof(text, fc.string({ unit: "binary" })), (text) => {
      for (const name of lineSays(text).slice(1) as string[]) {
        const plain = name.replace(/^\+|\*$/g, "");
        assert(parseName(plain).length > 1 && !/\.\d+\.$|^\d+\.$/.test(plain), `${text}: ${name}`);
      }
    }),
    { seed: 7, numRuns: 2000 },
  );
});

const message = (name: string) => Message.parse(query(name));

Deno.test("BlockIndex agrees with a search through all lines for any name", () => {
  const label = fc.constantFrom("a", "b", "c");
  const name = fc.array(label, { minLength: 1, maxLength: 4 }).map((labels) => labels.join("."));
  const entry = fc.record({ name, withBelow: fc.boolean(), allows: fc.boolean() });
  fc.assert(
    fc.property(fc.array(entry), name, (entries, name) => {
      const set = new BlockIndex();
      entries.forEach((entry, i) => set.add(parseName(entry.name), entry, i));
      const hits = entries.filter((entry) =>
        entry.name === name || entry.withBelow && name.endsWith(`.${entry.name}`)
      );
      const expected = hits.some(({ allows }) => allows)
        ? "allowed"
        : hits.length > 0
        ? "blocked"
        : "unlisted";
      const found = set.findQuestion(message(name.toUpperCase()));
      assertEquals(found === -2 ? "allowed" : found >= 0 ? "blocked" : "unlisted", expected);
      if (found >= 0) assert(hits.includes(entries[found]!), "the list that is named is one that blocks it");
      assertEquals(set.findName(parseName(name)), found);
    }),
    { seed: 10, numRuns: 2000 },
  );
});

class Files implements AsyncDisposable {
  readonly #folder = Deno.makeTempDirSync();

  write(name: string, text: string): string {
    Deno.writeTextFileSync(`${this.#folder}/${name}`, text);
    return `${this.#folder}/${name}`;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await Deno.remove(this.#folder, { recursive: true });
  }
}

const list = (label: string, path: string, allows = false): ListFile => ({ label, path, allows });

async function read(files: readonly ListFile[]) {
  const reports: ListReport[] = [];
  const lists = await readLists(files, { yields: true, report: (report) => reports.push(report) });
  return { lists, reports };
}

Deno.test("readLists reads and counts lines with any line ends and of any length", async () => {
  await using files = new Files();
  const long = `${"x".repeat(100_000)} y\n`;
  const many = Array.from({ length: 20_000 }, (_, i) => `n${i}.example`).join("\r\n");
  const { lists, reports } = await read([
    list("one", files.write("one", `ads.example\n${long}||b.example^\nlast.example`)),
    list("many", files.write("many", many)),
    list("none", files.write("none", "")),
    list("good", files.write("good", "0.0.0.0 good.ads.example"), true),
    list("marked", files.write("marked", "\ufeffmarked.example\n")),
  ]);
  assertEquals(reports, [
    { label: "one", names: 3, ignored: 1 },
    { label: "many", names: 20_000, ignored: 0 },
    { label: "none", names: 0, ignored: 0 },
    { label: "good", names: 1, ignored: 0 },
    { label: "marked", names: 1, ignored: 0 },
  ]);
  assertEquals(lists.names.size, 20_005);
  const found = [
    "ads.example",
    "www.b.example",
    "last.example",
    "n19999.example",
    "c.example",
    "good.ads.example",
    "marked.example",
  ]
    .map((name) => lists.names.findQuestion(message(name)));
  assertEquals(found, [0, 0, 0, 1, -1, -2, 4]);
});

async function blocking(answer: "nxdomain" | "null" | "refused", next = new FakeResolver()) {
  await using files = new Files();
  const blockList = new BlockFilter(answer, next);
  const { lists } = await read([
    list("ads", files.write("ads", "ads.example\n0.0.0.0 host.example\n")),
    list("good", files.write("good", "good.ads.example"), true),
  ]);
  blockList.lists = lists;
  return blockList;
}

Deno.test("BlockFilter limits the queries that wait for the lists", async () => {
  const blockList = new BlockFilter("nxdomain", new FakeResolver());
  const waiting = Array.from({ length: 16_384 }, () => blockList.resolve(asked("a.example")));
  const error = assertThrows(() => blockList.resolve(asked("a.example")), UpstreamError);
  assertEquals(error.failure, "overloaded");
  blockList.lists = { names: new BlockIndex(), labels: [] };
  for (const response of await Promise.all(waiting)) assertEquals(response.rcode, 0);
  assertEquals((await blockList.resolve(asked("a.example"))).rcode, 0);
});

Deno.test("a blocked name is NXDOMAIN, a null address or REFUSED, as configured", async () => {
  const cases: ["nxdomain" | "null" | "refused", Type, string][] = [
    ["nxdomain", "A", "3"],
    ["null", "A", "0 0.0.0.0"],
    ["null", "AAAA", "0 ::"],
    ["null", "HTTPS", "0"],
    ["refused", "A", "5"],
  ];
  for (const [answer, type, expected] of cases) {
    assertEquals(await told(await blocking(answer), "www.ads.example", type), expected, `${answer} ${type}`);
  }
});

Deno.test("a response for a blocked name names the list and has a TTL of a minute (8914-3, 2308-2)", async () => {
  const query = asked("WWW.ads.example");
  const answer = await resolved(await blocking("nxdomain"), query);
  assertEquals(extendedErrors(answer), [{ code: 15, text: "blocked by the list ads" }]);
  assertEquals([answer.source, query.trace.list, answer.flags.aa, answer.question?.name], [
    "blocked",
    "ads",
    false,
    "WWW.ads.example",
  ]);
  assertEquals(answer.authority.map(({ ttl, type }) => [ttl, type]), [[60, 6]]);
});

Deno.test("a hosts line blocks one name, a domain all names below, and an allow rule overrides both", async () => {
  const blockList = await blocking("nxdomain");
  const rcodes = async (...names: string[]) =>
    await Promise.all(names.map(async (name) => (await resolved(blockList, asked(name))).rcode));
  assertEquals(await rcodes("host.example", "www.host.example", "ads.example", "x.y.ads.example"), [
    3,
    0,
    3,
    3,
  ]);
  assertEquals(await rcodes("good.ads.example", "www.good.ads.example", "bads.example", "example"), [
    0,
    0,
    0,
    0,
  ]);
});

/** Answers with an alias. */
function aliased(...chain: string[]) {
  return new FakeResolver(({ message }) => {
    const owners = [message.name, ...chain];
    const answers = chain.map((target, i) => cname(owners[i]!, target));
    return Message.parse(response(message.bytes, { answers: [...answers, a(owners.at(-1)!, "192.0.2.1")] }));
  });
}

Deno.test("an answer with a blocked alias is blocked, unless the name itself is allowed", async () => {
  const cases: [name: string, chain: string[], rcode: number][] = [
    ["www.site.example", ["x.ads.example"], 3],
    ["www.site.example", ["cdn.example", "host.example", "far.example"], 3],
    ["www.site.example", ["good.ads.example"], 0],
    ["www.site.example", ["cdn.example"], 0],
    ["good.ads.example", ["x.ads.example"], 0],
  ];
  for (const [name, chain, rcode] of cases) {
    const blockList = await blocking("nxdomain", aliased(...chain));
    const answer = await resolved(blockList, asked(name));
    assertEquals([answer.rcode, answer.source], [rcode, rcode === 3 ? "blocked" : "upstream"], chain.join());
  }
});

Deno.test("an HTTPS or SVCB record with a blocked target is blocked (9460 §2.4)", async () => {
  const target = (name: string) => concat(hex("0001"), composeName(name), hex("0001 0003 026832"));
  const cases: [name: string, target: string, rcode: number][] = [
    ["www.site.example", "x.ads.example", 3],
    ["www.site.example", "good.ads.example", 0],
    ["www.site.example", "cdn.example", 0],
    ["www.site.example", ".", 0],
    ["good.ads.example", "x.ads.example", 0],
  ];
  for (const [name, to, rcode] of cases) {
    for (const type of ["HTTPS", "SVCB"] as const) {
      const next = new FakeResolver(({ message }) =>
        Message.parse(response(message.bytes, { answers: [record(name, type, target(to))] }))
      );
      assertEquals((await resolved(await blocking("nxdomain", next), asked(name, type))).rcode, rcode, to);
    }
  }
});

Deno.test("queries wait for the first lists, and not for later ones", async () => {
  const blockList = new BlockFilter("nxdomain", new FakeResolver());
  const early = resolved(blockList, asked("ads.example"));
  const names = new BlockIndex();
  names.add(parseName("ads.example"), { withBelow: true, allows: false }, 0);
  blockList.lists = { names, labels: ["ads"] };
  assertEquals((await early).rcode, 3);
  assert(blockList.resolve(asked("ads.example")) instanceof Message);
});

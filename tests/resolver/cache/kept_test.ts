/** Facts stored with an answer beside its records, and their use. */
import { assertEquals } from "../../support/assert.ts";
import {
  a,
  aaaa,
  cname,
  type EdnsOption,
  record,
  type ResponseFields,
  soa,
} from "../../support/packets/packets.ts";
import { type AskOptions, CacheFixture, failing, responding } from "./cache_fixture.ts";

const DO: AskOptions = { edns: { do: true } };
const RRSIG = (name: string, covered = 1) =>
  record(name, "RRSIG", Uint8Array.of(0, covered, ...new Array(16).fill(0), 0, 1, 2, 3), 300);

function error(code: number, text: string): EdnsOption {
  return { code: 15, value: Uint8Array.of(0, code, ...new TextEncoder().encode(text)) };
}

/** The texts and codes of a message's extended errors. */
async function reasons(fixture: CacheFixture, options: AskOptions = { edns: {} }): Promise<string[]> {
  const { message } = await fixture.ask("a.test", options);
  return (message.edns?.options ?? []).filter(({ code }) => code === 15)
    .map(({ value }) => `${value[1]} ${new TextDecoder().decode(value.subarray(2))}`);
}

Deno.test("each cached answer has its extended errors, also a stale one (8914)", async () => {
  const fields = { answers: [a("a.test", "0.0.0.0", 60)], edns: { options: [error(15, "by the upstream")] } };
  using fixture = new CacheFixture(responding(fields));
  for (let i = 0; i < 3; i++) assertEquals(await reasons(fixture), ["15 by the upstream"]);
  fixture.upstream.respond = failing("refused", "connect");
  await fixture.pass(60);
  assertEquals(await reasons(fixture), ["3 ", "15 by the upstream"]);
});

Deno.test("of extended errors no more is kept than their bound, whole characters of each text", async () => {
  const options = [error(4, "ä".repeat(30_000)), error(15, "x".repeat(9)), error(17, "y".repeat(99))];
  using fixture = new CacheFixture(responding({ answers: [a("a.test", "0.0.0.0")], edns: { options } }));
  await fixture.ask("a.test");
  const kept = await reasons(fixture);
  assertEquals(kept.map((each) => each.split(" ")[0]), ["4", "15"]);
  assertEquals(/^4 ä+$/.test(kept[0]!), true, "a character is cut in two");
});

Deno.test("addresses take turns, each first as often as the others; other records keep their order", async () => {
  for (const type of ["A", "AAAA"] as const) {
    const address = (i: number) =>
      type === "A" ? a("b.test", `192.0.2.${i}`) : aaaa("b.test", `2001:db8::${i}`);
    const answers = [cname("a.test", "b.test"), address(1), address(2), address(3), RRSIG("b.test")];
    using fixture = new CacheFixture(responding({ answers, additional: [a("c.test", "192.0.2.9")] }));
    await fixture.ask("a.test", { ...DO, type });
    const first = new Map<string, number>();
    for (let i = 0; i < 9; i++) {
      const { message } = await fixture.ask("a.test", { ...DO, type });
      assertEquals(message.answers.map(({ type }) => type), [5, ...Array(3).fill(type === "A" ? 1 : 28), 46]);
      const addresses = message.answers.slice(1, 4).map(({ rdata }) => rdata.toHex());
      assertEquals(new Set(addresses).size, 3);
      first.set(addresses[0]!, (first.get(addresses[0]!) ?? 0) + 1);
      assertEquals(message.additional[0]?.text, "192.0.2.9");
    }
    assertEquals([...first.values()], [3, 3, 3]);
  }
});

Deno.test("two names asked by turns take turns each for itself", async () => {
  using fixture = new CacheFixture(responding(({ message: { name } }) => ({
    answers: [a(name, "192.0.2.1"), a(name, "192.0.2.2")],
  })));
  const seen = new Set<string>();
  for (let i = 0; i < 8; i++) {
    for (const name of ["a.test", "b.test"]) {
      const { message } = await fixture.ask(name);
      seen.add(`${name} ${message.answers[0]!.text}`);
    }
  }
  assertEquals(seen.size, 4);
});

Deno.test("with --rrset-order fixed they stay as they came, and so do sets that are not one", async () => {
  const cases: [ResponseFields, boolean][] = [
    [{ answers: [a("a.test", "192.0.2.1"), a("a.test", "192.0.2.2")] }, false],
    [{ answers: [a("a.test", "192.0.2.1"), a("b.test", "192.0.2.2")] }, true],
    [{ answers: [a("a.test", "192.0.2.1"), RRSIG("a.test"), a("a.test", "192.0.2.2")] }, true],
  ];
  for (const [fields, rotate] of cases) {
    using fixture = new CacheFixture(responding(fields), { rotate });
    const told = new Set<string>();
    for (let i = 0; i < 5; i++) {
      const { message } = await fixture.ask("a.test", DO);
      told.add(message.answers.map(({ rdata }) => rdata.toHex()).join());
    }
    assertEquals(told.size, 1);
  }
});

Deno.test("an answer without signatures that was fetched with DO is the answer without DO, too", async () => {
  for (
    const fields of [
      { answers: [a("a.test", "192.0.2.1")] },
      { authority: [soa("test")] },
      { rcode: 3, authority: [soa("test")] },
    ]
  ) {
    using fixture = new CacheFixture(responding(fields));
    assertEquals((await fixture.ask("a.test", DO)).source, "upstream");
    assertEquals((await fixture.ask("a.test")).source, "cache");
    assertEquals((await fixture.ask("a.test", DO)).source, "cache");
    assertEquals((await fixture.ask("a.test", { cd: true })).source, "upstream", "CD is another matter");
  }
});

Deno.test("one with signatures or proofs is not, nor is one that was fetched without DO", async () => {
  const nsec = record("a.test", "NSEC", Uint8Array.of(0));
  for (
    const fields of [
      { answers: [a("a.test", "192.0.2.1"), RRSIG("a.test")] },
      { authority: [soa("test"), nsec] },
      { rcode: 3, authority: [soa("test"), record("a.test", 50, Uint8Array.of(1))] },
    ]
  ) {
    using fixture = new CacheFixture(responding(fields));
    assertEquals((await fixture.ask("a.test", DO)).source, "upstream");
    assertEquals((await fixture.ask("a.test")).source, "upstream");
  }
  using plain = new CacheFixture(responding({ answers: [a("a.test", "192.0.2.1")] }));
  assertEquals((await plain.ask("a.test")).source, "upstream");
  assertEquals((await plain.ask("a.test", DO)).source, "upstream");
});

Deno.test("the younger of two answers counts: one with DO takes the place of the one without", async () => {
  let address = 1;
  using fixture = new CacheFixture(
    responding(() => ({ answers: [a("a.test", `192.0.2.${address}`, 60)] })),
  );
  await fixture.ask("a.test");
  address = 2;
  await fixture.ask("a.test", DO);
  assertEquals(await fixture.tell("a.test"), "cache: 0 | 60 192.0.2.2");
  address = 3;
  await fixture.pass(60);
  assertEquals(await fixture.tell("a.test"), "upstream: 0 | 60 192.0.2.3");
  assertEquals(await fixture.tell("a.test"), "cache: 0 | 60 192.0.2.3");
});

Deno.test("with the upstream down, data without DO serves DO queries, fresh and stale", async () => {
  for (const failure of [failing("refused", "connect"), responding({ rcode: 2 })]) {
    using fixture = new CacheFixture(responding({ answers: [a("a.test", "192.0.2.1", 60)] }));
    await fixture.ask("a.test");
    fixture.upstream.respond = failure;
    for (let i = 0; i < 2; i++) assertEquals(await fixture.tell("a.test", DO), "cache: 0 | 60 192.0.2.1");
    await fixture.pass(61);
    assertEquals(await fixture.tell("a.test", DO), "stale: 0 | 30 192.0.2.1 EDE 3");
  }
});

Deno.test("data with DO serves other queries without its signatures (4035 §3.2.1)", async () => {
  using fixture = new CacheFixture(responding({
    ad: true,
    answers: [cname("a.test", "b.test"), RRSIG("a.test", 5), a("b.test", "192.0.2.1", 60), RRSIG("b.test")],
  }));
  await fixture.ask("a.test", DO);
  fixture.upstream.respond = failing("refused", "connect");
  const { message, source } = await fixture.ask("a.test", { ad: true });
  assertEquals([source, message.flags.ad], ["cache", true]);
  assertEquals(message.answers.map(({ name, type }) => [name, type]), [["a.test", 5], ["b.test", 1]]);
});

Deno.test("data never replaces a failed validation, with or without DO", async () => {
  using fixture = new CacheFixture(responding({ answers: [a("a.test", "192.0.2.1")] }));
  await fixture.ask("a.test");
  fixture.upstream.respond = responding({ rcode: 2, edns: { options: [error(6, "")] } });
  for (let i = 0; i < 2; i++) assertEquals((await fixture.ask("a.test", DO)).message.rcode, 2);
});

Deno.test("owners are in the case in which each client asks, though the upstream spells them out", async () => {
  using fixture = new CacheFixture(responding(({ message }) => ({
    ad: true,
    answers: [
      cname("CaSe.TeSt", "b.Test"),
      a("b.Test", "192.0.2.1"),
      { ...a("unused", "192.0.2.2"), name: "CASE.test" },
    ].slice(0, message.type === 1 ? 2 : 3),
    edns: { options: [error(15, "kept")] },
  })));
  for (const name of ["case.test", "CASE.TEST", "CaSe.TeSt"]) {
    const { message, reasons } = await fixture.ask(name, { edns: {} });
    assertEquals(message.answers.map(({ name }) => name), [name, "b.Test"]);
    assertEquals([message.flags.ad, reasons], [true, [15]]);
  }
});

/** Negative answers: lifetime, questions, and names below (2308, 8020). */
import { assertEquals } from "../../support/assert.ts";
import { cname, record, type ResponseFields, soa } from "../../support/packets/packets.ts";
import { type AskOptions, CacheFixture, responding } from "./cache_fixture.ts";

function denied(fields: ResponseFields = {}): ResponseFields {
  return { rcode: 3, authority: [soa("test", { minimum: 600, ttl: 300 })], ...fields };
}

const NODATA: ResponseFields = { authority: [soa("test", { minimum: 600, ttl: 300 })] };

const LIFETIMES:
  readonly (readonly [what: string, authority: Parameters<typeof soa>[1], lifetime: number])[] = [
    ["MINIMUM where it is less", { minimum: 60, ttl: 3600 }, 60],
    ["the SOA's own TTL where that is less", { minimum: 3600, ttl: 60 }, 60],
    ["three hours at most", { minimum: 86_400, ttl: 86_400 }, 10_800],
  ];

for (const rcode of [0, 3]) {
  for (const [what, fields, lifetime] of LIFETIMES) {
    Deno.test(`RCODE ${rcode} without data holds for ${what}, as does its SOA (2308-1, 2308-2)`, async () => {
      using fixture = new CacheFixture(responding({ rcode, authority: [soa("test", fields)] }), {
        serveStale: 0,
      });
      await fixture.ask("a.test");
      await fixture.pass(lifetime / 2);
      const { source, message } = await fixture.ask("a.test");
      assertEquals([source, message.rcode], ["cache", rcode]);
      assertEquals(message.authority.map(({ type, ttl }) => [type, ttl]), [[6, lifetime / 2]]);
      await fixture.pass(lifetime / 2);
      assertEquals((await fixture.ask("a.test")).source, "upstream");
    });
  }
}

Deno.test("NXDOMAIN holds for all types of the name, NODATA for its own (2308-1)", async () => {
  using fixture = new CacheFixture(
    responding(({ message }) => message.name === "no.test." ? denied() : NODATA),
  );
  for (const name of ["no.test", "empty.test"]) await fixture.ask(name);
  assertEquals(await fixture.tell("No.test", { type: "AAAA" }), "cache: 3");
  assertEquals(await fixture.tell("empty.test", { type: "AAAA" }), "upstream: 0");
  assertEquals(await fixture.tell("empty.test"), "cache: 0");
  assertEquals(fixture.asked, 3);
});

Deno.test("an answer for type 0, the key of denials, serves no other type", async () => {
  using fixture = new CacheFixture(
    responding(({ message }) => message.name === "no.test." ? denied() : NODATA),
  );
  await fixture.ask("a.test", { type: 0 });
  assertEquals(await fixture.tell("a.test"), "upstream: 0");
  assertEquals(await fixture.tell("a.test"), "cache: 0");
  await fixture.ask("no.test");
  assertEquals(await fixture.tell("no.test", { type: 0 }), "cache: 3");
});

Deno.test("NXDOMAIN holds for its class, DO and CD only (2308-1, 4035)", async () => {
  using fixture = new CacheFixture(responding(denied()));
  const own: AskOptions[] = [{}, { class: 3 }, { cd: true }, { edns: { do: true } }];
  for (const options of own) assertEquals((await fixture.ask("no.test", options)).source, "upstream");
});

Deno.test("NXDOMAIN behind an alias denies the target, not the alias (8020-1)", async () => {
  const answers = [cname("alias.test", "gone.test")];
  using fixture = new CacheFixture(responding(denied({ answers, ad: true })));
  await fixture.ask("alias.test");
  assertEquals((await fixture.ask("alias.test")).source, "cache");
  assertEquals((await fixture.ask("alias.test", { type: "CNAME" })).source, "upstream");
  assertEquals((await fixture.ask("below.alias.test")).source, "upstream");
});

Deno.test("an alias to a name without such data is kept with its SOA (2308-1)", async () => {
  const answers = [cname("alias.test", "target.test", 100)];
  using fixture = new CacheFixture(responding({ ...NODATA, answers }));
  await fixture.ask("alias.test", { type: "AAAA" });
  assertEquals(await fixture.tell("alias.test", { type: "AAAA" }), "cache: 0 | 100 target.test");
});

Deno.test("the later of two answers about a name holds: it is there, or it is not", async () => {
  using fixture = new CacheFixture(responding(denied()));
  await fixture.ask("a.test");
  await fixture.pass(300);
  fixture.upstream.respond = responding({ ...NODATA });
  await fixture.ask("a.test");
  assertEquals(fixture.cache.store.size, 1);
  assertEquals(await fixture.tell("a.test"), "cache: 0");
  assertEquals((await fixture.ask("a.test", { type: "AAAA" })).source, "upstream");
  fixture.upstream.respond = responding(denied());
  await fixture.pass(300);
  await fixture.ask("a.test");
  assertEquals(await fixture.tell("a.test", { type: "MX" }), "cache: 3");
});

Deno.test("a validated denial holds for all names below (8020-1)", async () => {
  using fixture = new CacheFixture(responding(denied({ ad: true })));
  await fixture.ask("no.test");
  await fixture.pass(100);
  for (const name of ["www.NO.test", "a.very.long.name.no.test"]) {
    const { message, source } = await fixture.ask(name, { type: "MX" });
    assertEquals([source, message.rcode, message.question?.name], ["cache", 3, name]);
    // The names of the SOA are whole: pointers into the shorter question have been moved.
    assertEquals(message.authority.map(({ name, ttl, text }) => [name, ttl, text]), [
      ["test", 200, "ns.example hostmaster.example 1 7200 900 1209600 600"],
    ]);
  }
  fixture.upstream.respond = responding(NODATA);
  for (const name of ["test", "notno.test", "other.test"]) {
    assertEquals((await fixture.ask(name)).source, "upstream");
  }
  await fixture.pass(200);
  assertEquals((await fixture.ask("later.no.test")).source, "upstream");
});

Deno.test("an unvalidated denial does not affect names below (8020-1)", async () => {
  using fixture = new CacheFixture(responding(denied()));
  await fixture.ask("no.test");
  assertEquals((await fixture.ask("www.no.test")).source, "upstream");
});

Deno.test("data known to be below a denied name is still used (8020-1)", async () => {
  using fixture = new CacheFixture(responding(NODATA));
  await fixture.ask("www.no.test");
  fixture.upstream.respond = responding(denied({ ad: true }));
  await fixture.ask("no.test");
  assertEquals(await fixture.tell("www.no.test"), "cache: 0");
});

Deno.test("with DO a denial holds below only if its proofs are there (8020-1)", async () => {
  const edns = { do: true };
  const nsec = record("a.test", "NSEC", Uint8Array.of(1, 0x7a, 4, 0x74, 0x65, 0x73, 0x74, 0, 0, 1, 2), 300);
  for (const [proofs, source] of [[[], "upstream"], [[nsec], "cache"]] as const) {
    const authority = [soa("test"), ...proofs];
    using fixture = new CacheFixture(responding(denied({ ad: true, authority })));
    await fixture.ask("no.test", { edns });
    const below = await fixture.ask("www.no.test", { edns });
    assertEquals([below.source, below.message.authority.length], [source, authority.length]);
  }
});

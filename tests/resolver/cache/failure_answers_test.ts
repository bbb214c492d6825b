/** Failures are remembered for a while, apart from data (9520). */
import { cutExtraText } from "../../../lib/dns/edns.ts";
import { Message } from "../../../lib/dns/message.ts";
import { composeExtendedError } from "../../../lib/dns/compose/reply.ts";
import { FailureCache } from "../../../lib/resolver/cache/failures.ts";
import { assert, assertEquals } from "../../support/assert.ts";
import { a, type EdnsOption, query, read, response } from "../../support/packets/packets.ts";
import { addressFor, CacheFixture, failing, hanging, responding } from "./cache_fixture.ts";

const SERVFAIL = responding({ rcode: 2 });

Deno.test("a failure is repeated for a second without a query, with the extended error for cached errors (9520-2, 8914-3)", async () => {
  using fixture = new CacheFixture(SERVFAIL);
  assertEquals(await fixture.tell("a.test"), "upstream: 2");
  await fixture.pass(0.999);
  assertEquals(await fixture.tell("A.test"), "cache: 2 EDE 13");
  assertEquals([fixture.asked, fixture.cache.failureHits], [1, 1]);
  await fixture.pass(0.001);
  assertEquals(await fixture.tell("a.test"), "upstream: 2");
});

Deno.test("the reason is kept with the failure (8914-3)", async () => {
  using fixture = new CacheFixture(failing("timed out"));
  assertEquals(await fixture.tell("a.test"), "error: timed out");
  assertEquals(await fixture.tell("a.test"), "cache: 2 EDE 22,13");
  fixture.upstream.respond = responding({
    rcode: 5,
    edns: { options: [{ code: 15, value: Uint8Array.of(0, 18) }] },
  });
  await fixture.ask("b.test");
  assertEquals(await fixture.tell("b.test"), "cache: 5 EDE 18,13");
});

Deno.test("each further failure is remembered for longer, but for five minutes at most (9520-2)", async () => {
  for (const respond of [SERVFAIL, failing("timed out")]) {
    using fixture = new CacheFixture(respond);
    const gaps: number[] = [];
    let last = 0;
    for (let second = 0; second < 1_500; second++) {
      const before = fixture.asked;
      await fixture.tell("a.test");
      if (fixture.asked > before) {
        gaps.push(second - last);
        last = second;
      }
      await fixture.time.pass(1_000);
    }
    assertEquals(gaps, [0, 1, 2, 4, 8, 16, 32, 64, 128, 256, 300, 300, 300]);
  }
});

Deno.test("an upstream out of reach is no reason to leave a name alone for longer than a second", async () => {
  using fixture = new CacheFixture(failing("refused", "connect"));
  for (let second = 0; second < 100; second++) {
    await fixture.tell("a.test");
    await fixture.pass(1);
  }
  assertEquals(fixture.asked, 100);
});

Deno.test("after an answer a failure counts as the first again", async () => {
  using fixture = new CacheFixture(SERVFAIL);
  for (let i = 0; i < 5; i++) {
    await fixture.tell("a.test");
    await fixture.pass(2 ** i);
  }
  fixture.upstream.respond = addressFor(0);
  await fixture.tell("a.test");
  fixture.upstream.respond = SERVFAIL;
  await fixture.tell("a.test");
  await fixture.pass(1);
  assertEquals(await fixture.tell("a.test"), "upstream: 2");
});

Deno.test("SERVFAIL of data that is not valid is not for those who set CD (4035)", async () => {
  using fixture = new CacheFixture(SERVFAIL);
  await fixture.ask("a.test");
  fixture.upstream.respond = addressFor(300);
  assertEquals(await fixture.tell("a.test", { cd: true }), "upstream: 0 | 300 192.0.2.1");
  assertEquals(await fixture.tell("a.test"), "cache: 2 EDE 13");
});

Deno.test("a failure does not stand before data, fresh or stale (9520-2)", async () => {
  using fixture = new CacheFixture(addressFor(100));
  await fixture.ask("a.test");
  await fixture.pass(95);
  fixture.upstream.respond = SERVFAIL;
  assertEquals(await fixture.tell("a.test"), "cache: 0 | 5 192.0.2.1");
  await fixture.pass(1);
  assertEquals(await fixture.tell("a.test"), "cache: 0 | 4 192.0.2.1");
  await fixture.pass(10);
  assertEquals(await fixture.tell("a.test"), "stale: 0 | 30 192.0.2.1 EDE 3");
});

Deno.test("to be overloaded is not remembered: the next query may find room", async () => {
  using fixture = new CacheFixture(failing("overloaded"));
  assertEquals(await fixture.tell("a.test"), "error: overloaded");
  fixture.upstream.respond = addressFor(300);
  assertEquals(await fixture.tell("a.test"), "upstream: 0 | 300 192.0.2.1");
});

Deno.test("failures take bounded memory, whatever their reasons, and the latest are kept (9520-2, dnsdist CVE-2026-52682)", () => {
  const failures = new FailureCache();
  const about = (i: number) => Message.parse(query(`name${i}.test`, "A", { edns: {} }));
  const reasons: EdnsOption[][] = [
    [],
    [{ code: 15, value: Uint8Array.of(0, 6, ...new Uint8Array(60_000).fill(0x78)) }],
    Array(5_000).fill({ code: 15, value: Uint8Array.of(0, 6, 0x78) }),
  ];
  for (const options of reasons) {
    for (let i = 0; i < 20_000; i++) {
      if (i % 100 !== 0 && options.length > 0 && i < 19_000) continue;
      const failed = about(i);
      failures.add(failed, Message.parse(response(failed.bytes, { rcode: 2, edns: { options } })), 0);
      assert(failures.bytes <= 4 << 20, `${failures.bytes} bytes`);
    }
    const told = read(failures.find(about(19_999), 1)!.bytes);
    assert(told.edns!.options.length <= 5 && told.edns!.options.every(({ value }) => value.length <= 202));
  }
  assertEquals(failures.find(about(1), 1), undefined);
  for (let i = 0; i < 20_000; i++) failures.remove(about(i));
  assertEquals(failures.bytes, 0);
});

Deno.test("a long reason is cut between characters", () => {
  const text = `${"x".repeat(199)}\u00e4 and more`;
  const cut = cutExtraText(composeExtendedError({ code: 6, text }));
  assertEquals(new TextDecoder().decode(cut.subarray(6)), "x".repeat(199));
  assertEquals([cut[2]! << 8 | cut[3]!, cut.length], [201, 205]);
});

Deno.test("a failure does not affect other questions", async () => {
  using fixture = new CacheFixture(
    responding(({ message }) =>
      message.type === 1 ? { rcode: 2 } : { answers: [a(message.name, "192.0.2.1")] }
    ),
  );
  await fixture.ask("a.test");
  assertEquals((await fixture.ask("a.test", { type: "AAAA" })).source, "upstream");
  fixture.upstream.respond = hanging;
  assertEquals((await fixture.ask("a.test")).reasons, [13]);
});

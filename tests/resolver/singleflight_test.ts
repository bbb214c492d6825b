/** Identical questions under way share one query. */
import { type Failure, UpstreamError } from "../../lib/core/errors.ts";
import { assertEquals } from "../support/assert.ts";
import { HoldingResolver } from "../support/fakes/resolver.ts";
import { CacheFixture, hanging } from "./cache/cache_fixture.ts";

/** A cache whose upstream answers on demand. */
class Holding implements Disposable {
  readonly upstream = new HoldingResolver();
  readonly fixture = new CacheFixture(hanging, { next: this.upstream });

  get asked(): number {
    return this.upstream.asked.length;
  }

  fail(index: number, failure: Failure): void {
    this.upstream.fail(
      this.upstream.asked[index]!,
      new UpstreamError(failure, { upstream: "server", phase: "read" }),
    );
  }

  [Symbol.dispose](): void {
    this.fixture[Symbol.dispose]();
  }
}

Deno.test("10,000 clients asking one cold name make one query, and all are answered", async () => {
  using holding = new Holding();
  const { fixture, upstream } = holding;
  const told = Array.from({ length: 10_000 }, (_, i) => fixture.tell(i % 2 ? "Cold.test" : "cOLD.test"));
  await fixture.pass(1);
  assertEquals(holding.asked, 1);
  upstream.release();
  assertEquals(new Set(await Promise.all(told)).size, 1);
  assertEquals([holding.asked, fixture.cache.coalesced, fixture.cache.store.size], [1, 9_999, 1]);
});

Deno.test("questions that differ in name, type, DO, CD or RD are not one (4035)", async () => {
  using holding = new Holding();
  const { fixture, upstream } = holding;
  const told = [
    fixture.tell("a.test"),
    fixture.tell("b.test"),
    fixture.tell("a.test", { type: "AAAA" }),
    fixture.tell("a.test", { cd: true }),
    fixture.tell("a.test", { rd: false }),
    fixture.tell("a.test", { edns: { do: true } }),
    fixture.tell("a.test", { ad: true, edns: {} }),
  ];
  await fixture.pass(0);
  assertEquals(holding.asked, 6);
  upstream.release();
  await Promise.all(told);
});

Deno.test("a failure goes to all waiting queries, and ends with them", async () => {
  using holding = new Holding();
  const { fixture, upstream } = holding;
  const told = [1, 2, 3].map(() => fixture.tell("a.test"));
  await fixture.pass(0);
  holding.fail(0, "refused");
  assertEquals(await Promise.all(told), Array(3).fill("error: refused"));
  await fixture.pass(1);
  const again = fixture.tell("a.test");
  await fixture.pass(0);
  assertEquals(holding.asked, 2);
  upstream.release();
  await again;
});

Deno.test("later queries have time left after the first one's deadline: one more upstream query serves them all", async () => {
  using holding = new Holding();
  const { fixture, upstream } = holding;
  const first = fixture.tell("a.test");
  await fixture.pass(3);
  const late = [1, 2, 3].map(() => fixture.tell("a.test"));
  await fixture.pass(1);
  holding.fail(0, "timed out");
  assertEquals(await first, "error: timed out");
  await fixture.pass(0);
  assertEquals(holding.asked, 2);
  upstream.release();
  assertEquals(new Set(await Promise.all(late)).size, 1);
  assertEquals(await late[0]!.then((text) => text.startsWith("upstream: 0")), true);
});

Deno.test("there is no third query for those who came late", async () => {
  using holding = new Holding();
  const { fixture } = holding;
  const first = fixture.tell("a.test");
  await fixture.pass(1);
  const late = [fixture.tell("a.test"), fixture.tell("a.test", { time: 9_000 })];
  await fixture.pass(3);
  holding.fail(0, "timed out");
  await fixture.pass(1);
  holding.fail(1, "timed out");
  assertEquals(await Promise.all([first, ...late]), Array(3).fill("error: timed out"));
  assertEquals(holding.asked, 2);
});

Deno.test("all that share a query know which upstream answered", async () => {
  using holding = new Holding();
  const { fixture, upstream } = holding;
  const queries = [fixture.query("a.test"), fixture.query("a.test")];
  const answers = queries.map((query) => fixture.cache.resolve(query));
  await fixture.pass(0);
  upstream.asked[0]!.trace.upstream = "server";
  upstream.release();
  await Promise.all(answers);
  assertEquals(queries.map(({ trace }) => trace.upstream), ["server", "server"]);
});

Deno.test("a query beyond the limit fails at once, and the others are answered", async () => {
  using holding = new Holding();
  const { fixture, upstream } = holding;
  const told = Array.from({ length: 16_384 + 3 }, () => fixture.tell("cold.test"));
  await fixture.pass(0);
  upstream.release();
  const answers = await Promise.all(told);
  assertEquals(answers.filter((answer) => answer === "error: overloaded").length, 3);
  assertEquals(fixture.cache.coalesced, 16_383);
});

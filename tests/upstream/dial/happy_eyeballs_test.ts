import { interleave, openFirst } from "../../../lib/upstream/dial/happy_eyeballs.ts";
import { assertEquals, assertRejects } from "../../support/assert.ts";
import { FakeTime } from "../../support/fakes/time.ts";

/** `openFirst` in fake time. Collects when each address was tried, and whether it was aborted or destroyed. */
class Fixture implements Disposable {
  readonly time = new FakeTime();
  readonly tried: string[] = [];
  readonly aborted: string[] = [];
  readonly destroyed: string[] = [];
  readonly abort = new AbortController();
  readonly #ends = new Map<string, PromiseWithResolvers<{ destroy: () => void }>>();

  start(...addresses: string[]): Promise<string> {
    const start = this.time.now();
    return openFirst(addresses, (address, signal) => {
      this.tried.push(`${address} at ${this.time.now() - start}`);
      signal.addEventListener("abort", () => this.aborted.push(address));
      const end = Promise.withResolvers<{ destroy: () => void }>();
      this.#ends.set(address, end);
      return end.promise;
    }, this.abort.signal).then(({ address }) => address);
  }

  opens(address: string): void {
    this.#ends.get(address)!.resolve({ destroy: () => this.destroyed.push(address) });
  }

  fails(address: string): void {
    this.#ends.get(address)!.reject(new Error(`${address} fails`));
  }

  [Symbol.dispose](): void {
    this.time[Symbol.dispose]();
  }
}

const INTERLEAVED: [addresses: string[], expected: string[]][] = [
  [[], []],
  [["1.1.1.1"], ["1.1.1.1"]],
  [["::1", "::2", "::3", "1.1.1.1"], ["::1", "1.1.1.1", "::2", "::3"]],
  [["1.1.1.1", "1.1.1.2", "::1"], ["1.1.1.1", "::1", "1.1.1.2"]],
];

Deno.test("interleave alternates the families, the first one first (RFC 8305 §4)", () => {
  for (const [addresses, expected] of INTERLEAVED) assertEquals(interleave(addresses), expected);
});

Deno.test("openFirst tries one address, and leaves no timer, when it opens at once", async () => {
  using fixture = new Fixture();
  const winner = fixture.start("a", "b");
  fixture.opens("a");
  assertEquals(await winner, "a");
  assertEquals([fixture.tried, fixture.time.waiting, fixture.destroyed], [["a at 0"], 0, []]);
});

Deno.test("openFirst tries the next address after each 250 ms (RFC 8305 §5)", async () => {
  using fixture = new Fixture();
  const winner = fixture.start("a", "b", "c");
  await fixture.time.pass(500);
  assertEquals(fixture.tried, ["a at 0", "b at 250", "c at 500"]);
  fixture.opens("b");
  assertEquals(await winner, "b");
  assertEquals(fixture.aborted, ["a", "b", "c"]);
});

Deno.test("openFirst tries the next address at once after a failure", async () => {
  using fixture = new Fixture();
  const winner = fixture.start("a", "b");
  fixture.fails("a");
  await fixture.time.pass(0);
  assertEquals(fixture.tried, ["a at 0", "b at 0"]);
  fixture.opens("b");
  assertEquals(await winner, "b");
});

Deno.test("openFirst destroys a socket that opens too late", async () => {
  using fixture = new Fixture();
  const winner = fixture.start("a", "b");
  await fixture.time.pass(250);
  fixture.opens("b");
  fixture.opens("a");
  assertEquals(await winner, "b");
  await fixture.time.pass(0);
  assertEquals(fixture.destroyed, ["a"]);
});

Deno.test("openFirst rejects with the first error when all addresses have failed", async () => {
  using fixture = new Fixture();
  const winner = fixture.start("a", "b");
  await fixture.time.pass(250);
  fixture.fails("b");
  await fixture.time.pass(0);
  fixture.fails("a");
  const error = await assertRejects(() => winner, Error);
  assertEquals([error.message, fixture.time.waiting], ["b fails", 0]);
});

Deno.test("openFirst rejects with the signal's reason, and aborts all attempts, when it is canceled", async () => {
  using fixture = new Fixture();
  const winner = fixture.start("a", "b", "c");
  await fixture.time.pass(250);
  fixture.abort.abort(new Error("enough"));
  await assertRejects(() => winner, Error, "enough");
  await fixture.time.pass(1000);
  assertEquals([fixture.tried.length, fixture.aborted, fixture.time.waiting], [2, ["a", "b"], 0]);
});

/** The room for queries that wait: who gets a place, and who gives one up. */
import { UpstreamError } from "../../lib/core/errors.ts";
import { assertEquals } from "../support/assert.ts";
import { HoldingResolver } from "../support/fakes/resolver.ts";
import { CacheFixture, hanging } from "./cache/cache_fixture.ts";

const PLACES = 32_768;
const HALF = PLACES / 2;

class Room implements Disposable {
  readonly upstream = new HoldingResolver();
  readonly fixture = new CacheFixture(hanging, { next: this.upstream });
  readonly outcomes = new Map<string, string>();

  async ask(address: string, prefix: string, count: number, same = false): Promise<void> {
    for (let i = 0; i < count; i++) {
      const name = `${prefix}${i}.test`;
      const asked = this.fixture.query(same ? `${prefix}.test` : name);
      const query = { ...asked, client: { ...asked.client, address } };
      this.outcomes.set(name, "waiting");
      try {
        Promise.resolve(this.fixture.cache.resolve(query)).then(
          () => this.outcomes.set(name, "answered"),
          (error) => this.#fail(name, error),
        );
      } catch (error) {
        this.#fail(name, error);
      }
    }
    await this.fixture.pass(0);
  }

  count(prefix: string, outcome: string): number {
    return [...this.outcomes].filter(([name, each]) => name.startsWith(prefix) && each === outcome).length;
  }

  #fail(name: string, error: unknown): void {
    this.outcomes.set(name, error instanceof UpstreamError ? error.failure : `${error}`);
  }

  [Symbol.dispose](): void {
    this.fixture[Symbol.dispose]();
  }
}

for (const same of [false, true]) {
  Deno.test(`no client network holds more than half of the room, with ${same ? "one name" : "many names"}`, async () => {
    using room = new Room();
    await room.ask("192.0.2.1", "flood", HALF + 100, same);
    assertEquals([room.count("flood", "waiting"), room.count("flood", "overloaded")], [HALF, 100]);
    await room.ask("198.51.100.1", "other", 100);
    assertEquals(room.count("other", "waiting"), 100);
    room.upstream.release();
    await room.fixture.pass(0);
    assertEquals([room.count("flood", "answered"), room.count("other", "answered")], [HALF, 100]);
  });
}

Deno.test("who has waited for 200 ms gives way to a newcomer of the same network, and of any where the room is full", async () => {
  using room = new Room();
  await room.ask("192.0.2.1", "a", HALF);
  await room.fixture.pass(0.25);
  await room.ask("198.51.100.1", "b", HALF);
  await room.ask("192.0.2.1", "new-a", 5);
  await room.ask("203.0.113.1", "new-c", 5);
  await room.ask("198.51.100.1", "new-b", 5);
  assertEquals(room.count("a", "overloaded"), 10);
  assertEquals([room.count("new-a", "waiting"), room.count("new-c", "waiting")], [5, 5]);
  // Those of its own network have not waited so long.
  assertEquals([room.count("b", "overloaded"), room.count("new-b", "overloaded")], [0, 5]);
});

Deno.test("the answer to an evicted question is kept for the next query", async () => {
  using room = new Room();
  await room.ask("192.0.2.1", "a", HALF);
  await room.fixture.pass(0.25);
  await room.ask("192.0.2.1", "new", 1);
  assertEquals(room.outcomes.get("a0.test"), "overloaded");
  room.upstream.release(room.upstream.asked.slice(0, 1));
  await room.fixture.pass(0);
  const asked = room.upstream.asked.length;
  await room.ask("192.0.2.1", "a", 1);
  assertEquals([room.outcomes.get("a0.test"), room.upstream.asked.length], ["answered", asked]);
});

import { MessageIds } from "../../../lib/upstream/connection/query_table.ts";
import { assert, assertEquals } from "../../support/assert.ts";

Deno.test("MessageIds draws uniformly from the full range (5452-2)", () => {
  const ids = new MessageIds();
  const counts = new Uint32Array(256);
  const low = new Uint32Array(256);
  for (let i = 0; i < 256_000; i++) {
    const id = ids.draw(new Set());
    counts[id >> 8]!++;
    low[id & 0xff]!++;
  }
  // The expected count is 1000 with a standard deviation of 32. One run in 10^9 has a count off by more than 230.
  for (const count of [...counts, ...low]) assert(count > 770 && count < 1230, `${count}`);
});

Deno.test("MessageIds draws the only free ID when all others are taken (7766-2)", () => {
  const ids = new MessageIds();
  assertEquals(ids.draw({ has: (id) => id !== 4711 }), 4711);
});

Deno.test("MessageIds draws different sequences in two instances (5452-2)", () => {
  const [one, other] = [new MessageIds(), new MessageIds()];
  const nothing = new Set<number>();
  const alike = Array.from({ length: 1000 }, () => one.draw(nothing) === other.draw(nothing)).filter(Boolean);
  assert(alike.length < 5);
});

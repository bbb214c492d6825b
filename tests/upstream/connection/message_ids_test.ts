import { MessageIds } from "../../../lib/upstream/connection/query_table.ts";
import { assert, assertEquals } from "../../support/assert.ts";

Deno.test("IDs come from the full range, none more often than chance has it (5452-2)", () => {
  const ids = new MessageIds();
  const counts = new Uint32Array(256);
  const low = new Uint32Array(256);
  for (let i = 0; i < 256_000; i++) {
    const id = ids.draw(new Set());
    counts[id >> 8]!++;
    low[id & 0xff]!++;
  }
  // 1000 are expected, with a standard deviation of 32; one run in 10^9 has one of the 512 further off than 230.
  for (const count of [...counts, ...low]) assert(count > 770 && count < 1230, `${count}`);
});

Deno.test("no ID is drawn that is taken, even if only one is free (7766-2)", () => {
  const ids = new MessageIds();
  assertEquals(ids.draw({ has: (id) => id !== 4711 }), 4711);
});

Deno.test("two sequences of IDs are not alike (5452-2)", () => {
  const [one, other] = [new MessageIds(), new MessageIds()];
  const nothing = new Set<number>();
  const alike = Array.from({ length: 1000 }, () => one.draw(nothing) === other.draw(nothing)).filter(Boolean);
  assert(alike.length < 5);
});

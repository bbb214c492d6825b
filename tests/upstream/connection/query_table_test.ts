import fc from "fast-check";
import { QueryTable } from "../../../lib/upstream/connection/query_table.ts";
import { assertEquals, assertThrows } from "../../support/assert.ts";

class Item {}

/** All IDs, from the oldest to the youngest. */
function idsInOrder(table: QueryTable<Item>): number[] {
  const ids: number[] = [];
  for (let id = table.oldestId; id >= 0; id = table.nextId(id)) ids.push(id);
  return ids;
}

type Step = [action: "add" | "remove" | "abandon" | "release", id: number];

Deno.test("QueryTable has the contents of a map and a set after the same steps (7766-2)", () => {
  const steps = fc.array(
    fc.tuple(
      fc.constantFrom<Step[0]>("add", "add", "remove", "abandon", "release"),
      fc.constantFrom(0, 1, 2, 3, 40, 255, 256, 65_534, 65_535),
    ),
    { maxLength: 60 },
  );
  fc.assert(
    fc.property(steps, (steps) => {
      const table = new QueryTable<Item>();
      const items = new Map<number, Item>();
      const abandoned = new Set<number>();
      for (const [what, id] of steps) {
        const item = items.get(id);
        if (what === "add" && !table.has(id)) {
          items.set(id, new Item());
          table.add(id, items.get(id)!);
        } else if (item && (what === "remove" || what === "abandon")) {
          table[what](id);
          items.delete(id);
          if (what === "abandon") abandoned.add(id);
        } else if (what === "release") {
          table.release(id);
          abandoned.delete(id);
        }
        assertEquals(idsInOrder(table), [...items.keys()]);
        assertEquals([table.size, table.abandoned], [items.size, abandoned.size]);
        for (const id of [0, 1, 2, 3, 40, 255, 256, 65_534, 65_535]) {
          assertEquals(table.get(id), items.get(id));
          assertEquals(table.has(id), items.has(id) || abandoned.has(id));
        }
      }
    }),
    { seed: 7766, numRuns: 300 },
  );
});

Deno.test("QueryTable has no entry for a number that is no ID", () => {
  const table = new QueryTable<Item>();
  assertEquals([table.has(-1), table.get(-1), table.has(65_536)], [false, undefined, false]);
});

Deno.test("QueryTable holds 60,000 queries at a time", () => {
  const table = new QueryTable<Item>();
  const items = Array.from({ length: 60_000 }, () => new Item());
  items.forEach((item, id) => table.add(id, item));
  assertEquals(items.every((item, id) => table.get(id) === item), true);
  items.forEach((_, id) => table.remove(id));
  assertEquals([table.size, table.oldestId, table.has(5)], [0, -1, false]);
});

Deno.test("QueryTable rejects an ID in use, and the removal of an unknown ID", () => {
  const table = new QueryTable<Item>();
  table.add(7, new Item());
  assertThrows(() => table.add(7, new Item()), Error, "the message ID is free");
  assertThrows(() => table.remove(8), Error, "a query waits under the message ID");
  table.abandon(7);
  assertThrows(() => table.remove(7), Error, "a query waits under the message ID");
});

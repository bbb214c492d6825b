import fc from "fast-check";
import { QueryTable, type TableLinks } from "../../../lib/upstream/connection/query_table.ts";
import { assertEquals } from "../../support/assert.ts";

class Item implements TableLinks<Item> {
  id = 0;
  older: Item | undefined;
  younger: Item | undefined;
}

/** From the oldest to the youngest, and back again the same. */
function inOrder(table: QueryTable<Item>): number[] {
  const ids: number[] = [];
  let last: Item | undefined;
  for (let each = table.oldest; each; each = each.younger) {
    assertEquals(each.older, last);
    ids.push(each.id);
    last = each;
  }
  return ids;
}

type Step = [what: "add" | "remove" | "abandon" | "release", id: number];

Deno.test("whatever comes and goes, the table says what a map and a set would (7766-2)", () => {
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
          table[what](item);
          items.delete(id);
          if (what === "abandon") abandoned.add(id);
          assertEquals([item.older, item.younger], [undefined, undefined]);
        } else if (what === "release") {
          table.release(id);
          abandoned.delete(id);
        }
        assertEquals(inOrder(table), [...items.keys()]);
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

Deno.test("what is no ID is not in use", () => {
  const table = new QueryTable<Item>();
  assertEquals([table.has(-1), table.get(-1), table.has(65_536)], [false, undefined, false]);
});

Deno.test("60,000 wait at a time, and each is found", () => {
  const table = new QueryTable<Item>();
  const items = Array.from({ length: 60_000 }, () => new Item());
  items.forEach((item, id) => table.add(id, item));
  assertEquals(items.every((item, id) => table.get(id) === item), true);
  items.forEach((item) => table.remove(item));
  assertEquals([table.size, table.oldest, table.has(5)], [0, undefined, false]);
});

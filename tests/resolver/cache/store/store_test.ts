/** The store compared with a Map, and its bounds. */
import fc from "fast-check";
import { HEADER_BYTES } from "../../../../lib/dns/header.ts";
import { Message } from "../../../../lib/dns/message.ts";
import { Cacheability } from "../../../../lib/resolver/cache/cacheability.ts";
import { NONE, type Ref } from "../../../../lib/resolver/cache/store/index.ts";
import { typeAndClass } from "../../../../lib/resolver/question_key.ts";
import { Store, TICKS_PER_SECOND } from "../../../../lib/resolver/cache/store/store.ts";
import { assert, assertEquals } from "../../../support/assert.ts";
import { query, response, type ResponseFields, txt } from "../../../support/packets/packets.ts";

const MIB = 1 << 20;
const assessment = new Cacheability({ minTtl: 0, maxTtl: 86_400 });

function put(store: Store, name: string, fields: ResponseFields, { variant = 0, now = 0 } = {}): void {
  const message = Message.parse(response(query(name, "TXT"), fields));
  assessment.assess(message, false);
  store.put(message, { typeAndClass: typeAndClass(message), variant }, assessment, now);
}

function find(store: Store, name: string, variant = 0): Ref {
  const message = Message.parse(query(name, "TXT"));
  return store.find(message.bytes, HEADER_BYTES, message.questionEnd - 4, typeAndClass(message), variant);
}

/** The records of an entry at an age in seconds, as in a message. Undefined if there is no entry. */
function records(store: Store, name: string, { variant = 0, age = 0 } = {}): string | undefined {
  const ref = find(store, name, variant);
  if (ref === NONE) return undefined;
  const into = new Uint8Array(70_000);
  const end = store.entries.copyRecords(ref, into, 100, age);
  return into.subarray(100, end).toHex();
}

function recordsOf(name: string, fields: ResponseFields): string {
  const message = Message.parse(response(query(name, "TXT"), fields));
  return message.bytes.subarray(message.questionEnd, message.recordsEnd).toHex();
}

function answer(name: string, strings: readonly string[], ttl = 300): ResponseFields {
  return { answers: [txt(name, strings, ttl)] };
}

Deno.test("Store finds exactly what was put last, in any case of the name", () => {
  const name = fc.integer({ min: 0, max: 40 }).map((i) => `Name${i}.test`);
  const command = fc.oneof(
    {
      weight: 6,
      arbitrary: fc.record({ do: fc.constant("put"), name, variant: fc.nat(3), size: fc.nat(30) }),
    },
    {
      weight: 1,
      arbitrary: fc.record({ do: fc.constant("remove"), name, variant: fc.nat(3), size: fc.nat(0) }),
    },
  );
  fc.assert(
    fc.property(fc.array(command, { maxLength: 300 }), (commands) => {
      const store = new Store(2 * MIB); // its index has two parts
      const oracle = new Map<string, string>();
      for (const { do: what, name, variant, size } of commands) {
        const key = `${name} ${variant}`;
        if (what === "put") {
          const fields = answer(name, [`${variant} ${"x".repeat(size)}`]);
          put(store, name, fields, { variant });
          oracle.set(key, recordsOf(name, fields));
        } else {
          const ref = find(store, name, variant);
          assertEquals(ref !== NONE, oracle.delete(key));
          if (ref !== NONE) store.remove(ref);
        }
      }
      assertEquals(store.size, oracle.size);
      for (let i = 0; i <= 40; i++) {
        for (let variant = 0; variant <= 3; variant++) {
          assertEquals(records(store, `nAME${i}.TEST`, { variant }), oracle.get(`Name${i}.test ${variant}`));
        }
      }
    }),
    { seed: 4, numRuns: 60 },
  );
});

Deno.test("Store finds nothing or the last put when it is full", () => {
  const command = fc.record({
    number: fc.nat(3_000),
    size: fc.integer({ min: 0, max: 20_000 }),
    use: fc.boolean(),
  });
  fc.assert(
    fc.property(fc.array(command, { minLength: 300, maxLength: 600, size: "max" }), (commands) => {
      const store = new Store(MIB);
      const oracle = new Map<string, string>();
      for (const { number, size, use } of commands) {
        const name = `name${number}.test`;
        const fields = answer(name, Array<string>(Math.ceil(size / 250)).fill("y".repeat(size % 250)));
        put(store, name, fields);
        oracle.set(name, recordsOf(name, fields));
        const ref = find(store, name);
        assert(ref !== NONE, "the last put is found");
        if (use) store.entries.use(ref);
        assert(store.bytes <= MIB, `${store.bytes} bytes`);
      }
      let found = 0;
      for (const [name, expected] of oracle) {
        const actual = records(store, name);
        if (actual === undefined) continue;
        found++;
        assertEquals(actual, expected);
      }
      assertEquals(store.size, found);
    }),
    { seed: 4, numRuns: 10 },
  );
});

Deno.test("Store evicts in the order of writing, and keeps a used entry once", () => {
  const store = new Store(MIB);
  const strings = Array<string>(20).fill("z".repeat(250));
  for (let i = 0; i < 150; i++) put(store, `old${i}.test`, answer(`old${i}.test`, strings));
  for (let i = 0; i < 150; i += 3) store.entries.use(find(store, `old${i}.test`));
  for (let i = 0; i < 110; i++) put(store, `new${i}.test`, answer(`new${i}.test`, strings));
  const left = Array.from({ length: 150 }, (_, i) => find(store, `old${i}.test`) !== NONE);
  const asked = left.filter((_, i) => i % 3 === 0);
  const others = left.filter((_, i) => i % 3 !== 0);
  assertEquals(asked.every(Boolean), true);
  assert(others.filter(Boolean).length < 50, "unused entries were evicted");
  // In order: the unused entries that are left are those written last.
  const first = others.indexOf(true);
  assertEquals(others.slice(first === -1 ? others.length : first).every(Boolean), true);
  assert(store.evictions > 0);
});

Deno.test("Store keeps used entries when many names are asked for once", () => {
  const store = new Store(MIB);
  for (let i = 0; i < 100; i++) put(store, `hot${i}.test`, answer(`hot${i}.test`, ["in use"]));
  for (let i = 0; i < 50_000; i++) {
    if (i % 100 === 0) { for (let j = 0; j < 100; j++) store.entries.use(find(store, `hot${j}.test`)); }
    put(store, `once${i}.test`, answer(`once${i}.test`, ["a scan"]));
  }
  for (let i = 0; i < 100; i++) assert(find(store, `hot${i}.test`) !== NONE, `hot${i}`);
});

Deno.test("Store takes little memory when it is empty, and its bound at most when it is full", () => {
  const store = new Store(64 * MIB);
  assert(store.bytes <= 1.1 * MIB, `${store.bytes} bytes before the first put`);
  const strings = Array<string>(200).fill("w".repeat(250));
  for (let i = 0; i < 1_500; i++) put(store, `n${i}.test`, answer(`n${i}.test`, strings));
  assert(store.bytes <= 64 * MIB && store.bytes > 50 * MIB, `${store.bytes} bytes`);
  store.clear();
  assertEquals([store.size, find(store, "n1499.test")], [0, NONE]);
  assert(store.bytes <= 1.1 * MIB);
});

Deno.test("Store bounds small entries by its index", () => {
  const store = new Store(MIB);
  for (let i = 0; i < 20_000; i++) put(store, `${i}`, answer(`${i}`, []));
  assert(store.bytes <= MIB, `${store.bytes} bytes`);
  assert(store.size > 5_000, `${store.size} entries`);
});

Deno.test("Store replaces an entry of the longest message in its own block", () => {
  const store = new Store(MIB);
  const fields = answer("long.test", Array<string>(250).fill("v".repeat(255)));
  for (let i = 0; i < 100; i++) put(store, "long.test", fields);
  assertEquals([records(store, "long.test"), store.size, store.evictions], [
    recordsOf("long.test", fields),
    1,
    0,
  ]);
});

Deno.test("Entries reduces each TTL by the age when it copies records", () => {
  const store = new Store(MIB);
  const answers = [txt("a.test", ["1"], 300), txt("a.test", ["2"], 70_000)];
  put(store, "a.test", { answers });
  const younger = { answers: [txt("a.test", ["1"], 1), txt("a.test", ["2"], 69_701)] };
  assertEquals(records(store, "a.test", { age: 299 }), recordsOf("a.test", younger));
  assertEquals(records(store, "a.test"), recordsOf("a.test", { answers }));
});

Deno.test("Store restores an entry with its times moved, and refuses one that is cut", () => {
  const store = new Store(MIB);
  const fields = answer("a.test", ["text"], 100);
  put(store, "a.test", fields, { variant: 2, now: 1_000 });
  const bytes = store.entries.bytesAt(find(store, "a.test", 2)).slice();

  const other = new Store(MIB);
  assertEquals(other.restore(bytes, -500), true);
  assertEquals(records(other, "A.test", { variant: 2 }), recordsOf("a.test", fields));
  const { entries } = other;
  const ref = find(other, "a.test", 2);
  assertEquals([entries.storedAt(ref), entries.expiresAt(ref)], [500, 500 + 100 * TICKS_PER_SECOND]);

  for (let length = 0; length < bytes.length; length++) {
    assertEquals(new Store(MIB).restore(bytes.subarray(0, length), 0), false, `${length} bytes`);
  }
});

Deno.test("visitAll visits all entries although entries move and others are put (S22)", async () => {
  const store = new Store(4 * MIB);
  const name = (i: number) => `name${i}.test`;
  const fields = (i: number) => answer(name(i), ["x".repeat(200)]);
  let next = 0;
  while (store.evictions === 0) put(store, name(next), fields(next++));
  const lasting = Array.from({ length: 1000 }, (_, i) => i + 500).filter((i) =>
    find(store, name(i)) !== NONE
  );
  for (const i of lasting) store.entries.use(find(store, name(i))); // so that they are kept, and move
  const seen = new Set<number>();
  let slices = 0;
  const walk = store.visitAll((ref) => void seen.add(store.entries.hash(ref)));
  const churn = async () => {
    for (; slices < 20; slices++) {
      for (let i = 0; i < 200; i++) put(store, name(next), fields(next++));
      await new Promise((resolve) => setTimeout(resolve, 0));
    }
  };
  await Promise.all([walk, churn()]);
  assert(slices > 1, "other code ran in between");
  const left = lasting.filter((i) => find(store, name(i)) !== NONE);
  assert(left.length > 0);
  assertEquals(left.filter((i) => !seen.has(store.entries.hash(find(store, name(i))))), []);
});

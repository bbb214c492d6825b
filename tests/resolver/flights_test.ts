import fc from "fast-check";
import { type InFlightQuestion, InFlightQuestions } from "../../lib/resolver/singleflight.ts";
import { assertEquals } from "../support/assert.ts";
import { CacheFixture, hanging } from "./cache/cache_fixture.ts";

Deno.test("of questions whose hashes are the same, or fall together, each is found by its own", () => {
  using fixture = new CacheFixture(hanging);
  const [hash, sameBucket] = [7, 7 + 4096];
  const flight = (name: string, hash: number, variant = 0): InFlightQuestion => ({
    ...{ query: fixture.query(name), hash, variant, next: undefined },
    response: new Promise(() => {}),
  });
  const all = [
    flight("a.test", hash),
    flight("b.test", hash),
    flight("a.test", sameBucket),
    flight("a.test", hash, 1),
  ];
  const found = (flights: InFlightQuestions) =>
    all.map(({ query, variant, hash }) => flights.find(fixture.query(query.message.name), variant, hash));
  fc.assert(
    fc.property(
      fc.shuffledSubarray([0, 1, 2, 3], { minLength: 4 }),
      fc.shuffledSubarray([0, 1, 2, 3]),
      (added, removed) => {
        const flights = new InFlightQuestions();
        for (const i of added) flights.add(all[i]!);
        assertEquals(found(flights), all);
        for (const i of removed) flights.remove(all[i]!);
        assertEquals(found(flights), all.map((each, i) => removed.includes(i) ? undefined : each));
        assertEquals(removed.every((i) => all[i]!.next === undefined), true);
      },
    ),
    { seed: 1, numRuns: 100 },
  );
});

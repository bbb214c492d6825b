/** Fuzzing of queries, for as long as the gate can wait; `tests/fuzz/long.ts` goes on for an hour. */
import { assert } from "../support/assert.ts";
import { mutationsWith, randomNumbers } from "../support/packets/mutations.ts";
import { captured, malformed, written } from "../dns/vectors.ts";
import { QueryRounds } from "./query_rounds.ts";
import { QUERY_SEEDS } from "./seeds.ts";

const golden = [...captured, ...written, ...malformed].map(({ bytes }) => bytes as Uint8Array);
const seeds: readonly Uint8Array[] = [...Array(4).fill(Object.values(QUERY_SEEDS)).flat(), ...golden];

for (const [what, bytes] of Object.entries(QUERY_SEEDS)) {
  Deno.test(`a query from a client, ${what}: one sound reply, at a cost that its length bounds`, async () => {
    using rounds = new QueryRounds();
    for (let i = 0; i < 3; i++) await rounds.run(bytes);
  });
}

Deno.test("mutated queries: one sound reply each, at a cost that their length bounds, and the fast path's is the same", async () => {
  using rounds = new QueryRounds();
  const mutations = Object.values(mutationsWith(golden));
  const random = randomNumbers(20_261_127);
  const number = 15_000;
  for (let round = 0; round < number; round++) {
    let bytes = seeds[random() % seeds.length]!;
    for (let left = random() % 4; left > 0 && bytes.length > 0; left--) {
      bytes = mutations[random() % mutations.length]!(bytes, random(), random());
    }
    try {
      await rounds.run(bytes);
    } catch (error) {
      throw new Error(`round ${round}: ${bytes.toHex()}`, { cause: error });
    }
  }
  const told = JSON.stringify(rounds.counts);
  for (const count of Object.values(rounds.counts)) assert(count > number / 100, told);
});

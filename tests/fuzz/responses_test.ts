/** Fuzzing of responses, for as long as the gate can wait; `tests/fuzz/long.ts` goes on for an hour. */
import { assert } from "../support/assert.ts";
import { mutationsWith, randomNumbers } from "../support/packets/mutations.ts";
import { captured, malformed, written } from "../dns/vectors.ts";
import { ResponseRounds } from "./response_rounds.ts";
import { SEEDS } from "./seeds.ts";

const golden = [...captured, ...written, ...malformed].map(({ bytes }) => bytes as Uint8Array);
const answers = [...captured, ...written].filter(({ bytes }) => (bytes[2]! & 0x80) !== 0).map(({ bytes }) =>
  bytes
);
const seeds: readonly Uint8Array[] = [...Array(4).fill(Object.values(SEEDS)).flat(), ...answers];

for (const [what, bytes] of Object.entries(SEEDS)) {
  Deno.test(`a response from an upstream, ${what}: later replies equal the first one`, async () => {
    await new ResponseRounds().run(bytes);
  });
}

Deno.test("mutated responses through cache, cut, store, fast path and saved cache: later replies equal the first one", async () => {
  const rounds = new ResponseRounds();
  const mutations = Object.values(mutationsWith(golden));
  const random = randomNumbers(20_261_127);
  const number = 6_000;
  for (let round = 0; round < number; round++) {
    let bytes = seeds[random() % seeds.length]!;
    for (let left = 1 + random() % 3; left > 0 && bytes.length > 0; left--) {
      bytes = mutations[random() % mutations.length]!(bytes, random(), random());
    }
    try {
      await rounds.run(bytes);
    } catch (error) {
      throw new Error(`round ${round}: ${bytes.toHex()}`, { cause: error });
    }
  }
  const { malformed, kept, hits, cuts, quick, restored, refused } = rounds.counts;
  const told = JSON.stringify(rounds.counts);
  assert(malformed > number / 20 && kept > number / 20 && hits > number && restored > number / 10, told);
  assert(cuts > number / 20 && quick > number / 20 && refused > number / 20, told);
});

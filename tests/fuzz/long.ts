/**
 * The fuzzers of queries and responses for as long as is wanted: `deno run --allow-all tests/fuzz/long.ts [--minutes 60]
 * [--seed N]`. Ends at the first input that is not treated as it must be, which is printed, with exit code 1.
 */
import { parseArgs } from "@std/cli/parse-args";
import { captured, malformed, written } from "../dns/vectors.ts";
import { mutationsWith, randomNumbers } from "../support/packets/mutations.ts";
import { QueryRounds } from "./query_rounds.ts";
import { ResponseRounds } from "./response_rounds.ts";
import { QUERY_SEEDS, SEEDS } from "./seeds.ts";

const { minutes, seed } = parseArgs(Deno.args, {
  string: ["minutes", "seed"],
  default: { minutes: "60", seed: `${crypto.getRandomValues(new Uint32Array(1))[0]}` },
});
const golden = [...captured, ...written, ...malformed].map(({ bytes }) => bytes as Uint8Array);
const mutations = Object.values(mutationsWith(golden));
const random = randomNumbers(Number(seed));
const end = performance.now() + Number(minutes) * 60_000;

using queries = new QueryRounds();
const responses = new ResponseRounds();
let rounds = 0;
for (; performance.now() < end; rounds++) {
  const isQuery = rounds % 3 === 0;
  const seeds = [...Object.values(isQuery ? QUERY_SEEDS : SEEDS), ...golden];
  let bytes = seeds[random() % seeds.length]!;
  for (let left = 1 + random() % 6; left > 0 && bytes.length > 0; left--) {
    bytes = mutations[random() % mutations.length]!(bytes, random(), random());
  }
  try {
    if (isQuery) await queries.run(bytes);
    else await responses.run(bytes);
  } catch (error) {
    console.error(`seed ${seed}, round ${rounds}, a ${isQuery ? "query" : "response"}: ${bytes.toHex()}`);
    console.error(error);
    Deno.exit(1);
  }
}
console.log(`${rounds} rounds of seed ${seed}`);
console.log(JSON.stringify({ queries: queries.counts, responses: responses.counts }));

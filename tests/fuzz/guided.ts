/**
 * Fuzzing guided by coverage: an input that reaches code which none before has reached is mutated further. For an hour:
 * `deno run --allow-all tests/fuzz/guided.ts [--minutes 60] [--seed N]`. V8 counts the blocks (`Profiler` of its
 * inspector), so nothing has to be installed. Ends at the first input that is not treated as it must be, with exit code 1.
 */
import { parseArgs } from "@std/cli/parse-args";
import { Session } from "node:inspector";
import { captured, malformed, written } from "../dns/vectors.ts";
import { mutationsWith, randomNumbers } from "../support/packets/mutations.ts";
import { QueryRounds } from "./query_rounds.ts";
import { ResponseRounds } from "./response_rounds.ts";
import { QUERY_SEEDS, SEEDS } from "./seeds.ts";

/** Inputs between two readings of the coverage: a reading takes as long as some of them. */
const BATCH = 64;

interface Input {
  readonly bytes: Uint8Array;
  readonly isQuery: boolean;
}

interface Block {
  readonly startOffset: number;
  readonly endOffset: number;
  readonly count: number;
}

interface Coverage {
  readonly result: readonly {
    readonly url: string;
    readonly functions: readonly { readonly ranges: readonly Block[] }[];
  }[];
}

const { minutes, seed } = parseArgs(Deno.args, {
  string: ["minutes", "seed"],
  default: { minutes: "60", seed: `${crypto.getRandomValues(new Uint32Array(1))[0]}` },
});
const golden = [...captured, ...written, ...malformed].map(({ bytes }) => bytes as Uint8Array);
const mutations = Object.values(mutationsWith(golden));
const random = randomNumbers(Number(seed));
const reached = new Set<string>();
const session = new Session();
const responses = new ResponseRounds();
using queries = new QueryRounds();

function post(method: string, fields: object = {}): Promise<Coverage> {
  const { promise, resolve, reject } = Promise.withResolvers<Coverage>();
  const inspector = session as unknown as {
    post(method: string, fields: object, done: (error: Error | null, result: Coverage) => void): void;
  };
  inspector.post(method, fields, (error, result) => error ? reject(error) : resolve(result));
  return promise;
}

/** Blocks of lib/ that have been reached since the last look, and never before. */
async function look(): Promise<string[]> {
  const { result } = await post("Profiler.takePreciseCoverage");
  const blocks = result.filter(({ url }) => url.includes("/lib/")).flatMap(({ url, functions }) =>
    functions.flatMap(({ ranges }) =>
      ranges.filter(({ count }) => count > 0).map(({ startOffset, endOffset }) =>
        `${url} ${startOffset} ${endOffset}`
      )
    )
  );
  return blocks.filter((block) => !reached.has(block));
}

async function run({ bytes, isQuery }: Input): Promise<void> {
  try {
    await (isQuery ? queries : responses).run(bytes);
  } catch (error) {
    console.error(`seed ${seed}, a ${isQuery ? "query" : "response"}: ${bytes.toHex()}`);
    console.error(error);
    Deno.exit(1);
  }
}

function mutate({ bytes, isQuery }: Input): Input {
  let mutated = bytes;
  for (let left = 1 + random() % 4; left > 0 && mutated.length > 0; left--) {
    mutated = mutations[random() % mutations.length]!(mutated, random(), random());
  }
  return { bytes: mutated, isQuery };
}

session.connect();
await post("Profiler.enable");
await post("Profiler.startPreciseCoverage", { callCount: true, detailed: true });

const corpus: Input[] = [
  ...[...Object.values(SEEDS), ...golden].map((bytes) => ({ bytes, isQuery: false })),
  ...[...Object.values(QUERY_SEEDS), ...golden].map((bytes) => ({ bytes, isQuery: true })),
];
for (const input of corpus) await run(input);
for (const block of await look()) reached.add(block);
const [seeds, first] = [corpus.length, reached.size];

let inputs = 0;
for (const end = performance.now() + Number(minutes) * 60_000; performance.now() < end; inputs += BATCH) {
  const batch = Array.from({ length: BATCH }, () => mutate(corpus[random() % corpus.length]!));
  for (const input of batch) await run(input);
  if ((await look()).length === 0) continue;
  // Once more one by one: which of them was it?
  for (const input of batch) {
    await run(input);
    const blocks = await look();
    if (blocks.length > 0) corpus.push(input);
    for (const block of blocks) reached.add(block);
  }
}
console.log(`${inputs} inputs of seed ${seed}; ${corpus.length - seeds} have joined the ${seeds} seeds`);
console.log(`${reached.size} blocks were reached, ${first} by the seeds`);
Deno.exit(0); // The session keeps the process.

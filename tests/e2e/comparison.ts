/**
 * Compares the answers that come through the proxy with those of its upstream, Unbound over the rig's signed and unsigned
 * zones, record by record: cold, warm and by the fast path, over UDP and TCP. In full: `deno run --allow-all
 * tests/e2e/comparison.ts 1500`.
 */
import { assertEquals } from "../support/assert.ts";
import { type Address, TcpClient, UdpClient } from "../support/clients/plain_client.ts";
import { DotClient } from "../support/clients/dot_client.ts";
import { type Decoded, query, type QueryFields, read, type Type } from "../support/packets/packets.ts";
import { startProxy } from "./proxy_process.ts";
import { type Servers, startServers } from "./rig.ts";

/** How many questions are asked before the first answer is waited for: well below the capacity of a socket buffer. */
const WINDOW = 32;
/** TTLs below this run out while the test runs, and are not compared. In seconds. */
const LEAST_TTL = 60;

const TYPES: readonly Type[] = ["A", "AAAA", "MX", "TXT", "SOA", "NS", "CNAME", "DS", 48, "HTTPS", 65280];

const FLAGS: readonly QueryFields[] = [
  {},
  { edns: {} },
  { ad: true },
  { edns: { do: true } },
  { ad: true, edns: { do: true, size: 4096 } },
  { cd: true },
  { cd: true, edns: { do: true } },
  { ad: true, cd: true, edns: { size: 512 } },
];

/** Names with something to them; the others are made up. */
const NAMES = [
  ...["", "www.", "mail.", "alias.", "txt.", "x.wild.", "a.b.wild.", "wild."].map((each) =>
    `${each}signed.test`
  ),
  ...["", "www.", "mail.", "alias1.", "alias3.", "dangling.", "_dot._tcp.", "svc.", "unknown."]
    .map((each) => `${each}example.test`),
  ...["big.", "many.", "ttl60.", "ttl3600.", "forever.", "x.wild.", "sub.empty.", "empty.", "below.www."]
    .map((each) => `${each}example.test`),
  ...["", "www.", "none."].map((each) => `${each}bogus.test`),
];

interface Question {
  readonly what: string;
  /** With a question's number as its ID. */
  readonly message: Uint8Array;
}

interface Asking extends AsyncDisposable {
  send(messages: readonly Uint8Array[]): Promise<void>;
  receive(): Promise<Uint8Array>;
}

/** Counts of the comparison: questions and answers. */
export interface Extent {
  readonly questions: number;
  readonly answers: number;
}

/** @param count how many names there are; throws at the first answer that differs */
export async function compareAnswers(count: number): Promise<Extent> {
  await using servers = await startServers("Unbound");
  const questions = makeQuestions(count);
  const [first, direct] = await askDirectly(servers, questions);
  const ttls = longestTtls([...first, ...direct]);
  let answers = 0;
  for (const [transport, passes] of [["UDP", ["cold", "warm", "fast"]], ["TCP", ["cold", "warm"]]] as const) {
    // Without a log of each query, hits over UDP take the fast path from the third time on.
    await using proxy = await startProxy({ upstreams: [servers.upstream], ca: servers.ca, logLevel: "info" });
    const address = { hostname: "127.0.0.1", port: proxy.port };
    for (const pass of passes) {
      await using asking = transport === "UDP" ? overUdp(address) : await overTcp(address);
      const through = await askAll(asking, questions);
      for (const [i, { what }] of questions.entries()) {
        assertSame(through[i]!, direct[i]!, ttls, `${what}, ${pass} over ${transport}`);
      }
      answers += through.length;
    }
  }
  return { questions: questions.length, answers };
}

/** Each name with some types and flags, the same ones each time; one in four in another case. */
function makeQuestions(count: number): Question[] {
  const names = [...NAMES];
  for (let i = 0; names.length < count; i++) {
    names.push(`n${i}.example.test`, `x${i}.signed.test`, `a.x${i}.signed.test`, `w${i}.wild.signed.test`);
  }
  // In small, every other combination.
  const step = count < 1000 ? 2 : 1;
  const questions: Question[] = [];
  for (const [n, name] of names.slice(0, count).entries()) {
    const types = n < NAMES.length ? TYPES : TYPES.filter((_, t) => (n + t) % 4 === 0);
    for (const [t, type] of types.entries()) {
      const [first, by] = n < NAMES.length ? [t % step, step] : [(n + 3 * t) % FLAGS.length, FLAGS.length];
      for (let f = first; f < FLAGS.length; f += by) {
        const each = FLAGS[f]!;
        const asked = questions.length % 4 === 0 ? name.toUpperCase() : name;
        const message = query(asked, type, { ...each, id: questions.length & 0xffff });
        questions.push({ what: `${asked} ${type} ${JSON.stringify(each)}`, message });
      }
    }
  }
  return questions;
}

/** Twice, and the second answer counts: it is out of the upstream's cache, as those through the proxy are. */
async function askDirectly(
  { upstream, ca }: Servers,
  questions: readonly Question[],
): Promise<[Decoded[], Decoded[]]> {
  const [hostPort, name] = upstream.split("#") as [string, string];
  const [hostname, port] = hostPort.split(":") as [string, string];
  const trusted = await Deno.readTextFile(ca);
  using client = await DotClient.connect({ hostname, port: Number(port) }, { trusted, name });
  const asking: Asking = {
    send: (messages) => client.send(...messages),
    receive: async () => (await client.receive())!,
    [Symbol.asyncDispose]: () => Promise.resolve(),
  };
  return [await askAll(asking, questions), await askAll(asking, questions)];
}

function overUdp(address: Address): Asking {
  const client = new UdpClient(address);
  return {
    send: async (messages) => {
      for (const message of messages) await client.send(message);
    },
    receive: () => client.receive(),
    [Symbol.asyncDispose]: () => Promise.resolve(client[Symbol.dispose]()),
  };
}

async function overTcp(address: Address): Promise<Asking> {
  const client = await TcpClient.connect(address);
  return {
    send: (messages) => client.send(...messages),
    receive: async () => (await client.receive())!,
    [Symbol.asyncDispose]: () => client[Symbol.asyncDispose](),
  };
}

/** The answers, in the order of the questions. */
async function askAll(asking: Asking, questions: readonly Question[]): Promise<Decoded[]> {
  const answers: Decoded[] = [];
  for (let start = 0; start < questions.length; start += WINDOW) {
    const window = questions.slice(start, start + WINDOW);
    await asking.send(window.map(({ message }) => message));
    for (let i = 0; i < window.length; i++) {
      const answer = read(await asking.receive());
      answers[start + (answer.id - start & 0xffff)] = answer;
    }
  }
  return answers;
}

/**
 * By type and data: the upstream may have fetched a record again since it answered the question that is compared, or made
 * it of a wildcard that it had fetched before.
 */
function longestTtls(answers: readonly Decoded[]): ReadonlyMap<string, number> {
  const ttls = new Map<string, number>();
  for (const record of answers.flatMap(recordsOf)) {
    const key = dataOf(record);
    ttls.set(key, Math.max(ttls.get(key) ?? 0, record.ttl));
  }
  return ttls;
}

function assertSame(
  through: Decoded,
  direct: Decoded,
  ttls: ReadonlyMap<string, number>,
  what: string,
): void {
  if (through.flags.tc) return assertEquals([through.rcode, through.flags.ra], [direct.rcode, true], what);
  assertEquals(through.question, direct.question, what);
  assertEquals(described(through), described(direct), what);
  for (const record of recordsOf(through)) {
    const ttl = ttls.get(dataOf(record))!;
    if (record.ttl > ttl && ttl >= LEAST_TTL) {
      throw new Error(`${what}: TTL ${record.ttl} of ${keyOf(record)} is above ${ttl}`);
    }
  }
}

/** The message without hop-by-hop parts: ID, and EDNS except DO. */
function described({ rcode, flags, answers, authority, additional, edns }: Decoded) {
  const { rd, ra, ad, cd, aa } = flags;
  const sections = [answers, authority, additional].map((records) => records.map(keyOf).sort());
  return { rcode, flags: { rd, ra, ad, cd, aa }, do: edns?.do, sections };
}

function recordsOf({ answers, authority, additional }: Decoded) {
  return [...answers, ...authority, ...additional];
}

function keyOf({ name, type, class: number, text }: Decoded["answers"][number]): string {
  return `${name.toLowerCase()} ${number} ${type} ${text}`;
}

function dataOf({ type, text }: Decoded["answers"][number]): string {
  return `${type} ${text}`;
}

if (import.meta.main) {
  const { questions, answers } = await compareAnswers(Number(Deno.args[0] ?? 1500));
  console.log(`${answers} answers to ${questions} questions are the same, record by record`);
}

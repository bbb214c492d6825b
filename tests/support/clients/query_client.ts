/** Clients that hold a proxy to its word: to each query exactly one answer, and the right one. */
import { addressOf } from "../packets/answers.ts";
import { assertEquals } from "../assert.ts";
import { type Address, TcpClient } from "./plain_client.ts";
import { type Decoded, query, read, TYPE } from "../packets/packets.ts";

/** `count` names of their own. */
export function names(count: number, prefix = "name"): string[] {
  return Array.from({ length: count }, (_, index) => `${prefix}${index}.test`);
}

/** A query for an address, with EDNS, so that a failure can carry its reason. */
export function question(name: string, id = 0x1234): Uint8Array {
  return query(name, "A", { id, edns: {} });
}

/**
 * Asks for the address of each name, the names dealt out to clients that each send theirs in one write. Gives back the
 * answers in the order of the names, and throws unless each client gets exactly one answer to each of its queries.
 */
export async function askEach(
  server: Address,
  asked: readonly string[],
  { clients = Math.ceil(asked.length / 100) } = {},
): Promise<Decoded[]> {
  const answers = new Map<string, Decoded>();
  await Promise.all(Array.from({ length: clients }, async (_, client) => {
    const own = asked.filter((_, index) => index % clients === client);
    for (const [name, answer] of await askOne(server, own)) answers.set(name, answer);
  }));
  return asked.map((name) => answers.get(name)!);
}

async function askOne(server: Address, asked: readonly string[]): Promise<[string, Decoded][]> {
  await using client = await TcpClient.connect(server);
  await client.send(...asked.map((name, id) => question(name, id)));
  const waiting = new Map(asked.map((name, id) => [id, name]));
  const answers: [string, Decoded][] = [];
  while (waiting.size > 0) {
    const message = await client.receive();
    if (!message) {
      throw new Error(`The proxy closed with ${waiting.size} of ${asked.length} queries unanswered`);
    }
    const answer = read(message);
    const name = waiting.get(answer.id);
    if (name === undefined) throw new Error(`Nobody waits for an answer with the ID ${answer.id}`);
    assertEquals(answer.question, { name, type: TYPE.A, class: 1 });
    waiting.delete(answer.id);
    answers.push([name, answer]);
  }
  client.closeWrite();
  assertEquals(await client.receive(), undefined, "an answer too many");
  return answers;
}

/** Throws unless every answer has the name's own address in it. */
export function assertRight(answers: readonly Decoded[]): void {
  const failed = answers.filter(({ rcode }) => rcode !== 0);
  if (failed.length > 0) {
    throw new Error(`${failed.length} of ${answers.length} failed, the first with ${reason(failed[0]!)}`);
  }
  const addresses = answers.map(({ answers }) => answers.map(({ text }) => text).join());
  assertEquals(addresses, answers.map(({ question }) => addressOf(question!.name)));
}

/** Throws unless every answer is SERVFAIL, with an extended error whose text matches. */
export function assertFailed(answers: readonly Decoded[], code: number, text: RegExp): void {
  for (const answer of answers) {
    assertEquals([answer.rcode, answer.answers.length], [2, 0], reason(answer));
    const [error, ...others] = extendedErrors(answer);
    assertEquals([error?.code, others.length], [code, 0], reason(answer));
    if (!text.test(error!.text)) throw new Error(`"${error!.text}" does not match ${text}`);
  }
}

/** RFC 8914 §2. */
export function extendedErrors({ edns }: Decoded): { code: number; text: string }[] {
  return (edns?.options ?? []).filter(({ code }) => code === 15).map(({ value }) => ({
    code: value[0]! << 8 | value[1]!,
    text: new TextDecoder().decode(value.subarray(2)),
  }));
}

function reason(answer: Decoded): string {
  return `RCODE ${answer.rcode} ${extendedErrors(answer).map(({ code, text }) => `${code} ${text}`).join()}`;
}

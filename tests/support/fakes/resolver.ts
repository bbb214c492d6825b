/** Resolvers whose answers the test controls, in place of the forwarder behind a front end. */
import { Message } from "../../../lib/dns/message.ts";
import type { Query } from "../../../lib/core/resolver.ts";
import { addressOf } from "../packets/answers.ts";
import { a, response, type ResponseFields } from "../packets/packets.ts";
import { Changes } from "../within.ts";

/** A resolver's answer: the upstream's bytes, not yet the client's. */
export type Respond = (query: Query) => Message | Promise<Message>;

/** Answers the address of `addressOf` at once. It identifies the right answer. */
export const atOnce: Respond = (query) => addressed(query);

/** The same, as a promise. */
export const later: Respond = (query) => Promise.resolve(addressed(query));

/** NOERROR with the address of the name asked for, changed by `fields`. */
export function addressed({ message }: Query, fields: ResponseFields = {}): Message {
  const { name } = message;
  return Message.parse(response(message.bytes, { answers: [a(name, addressOf(unrooted(name)))], ...fields }));
}

/** Records its queries and notifies of new ones. */
export class FakeResolver {
  readonly asked: Query[] = [];
  respond: Respond;
  readonly #changes = new Changes();

  constructor(respond: Respond = atOnce) {
    this.respond = respond;
  }

  /** Names it was asked for, in order, without the final dot. */
  get names(): string[] {
    return this.asked.map(({ message }) => unrooted(message.name));
  }

  resolve(query: Query): Message | Promise<Message> {
    this.asked.push(query);
    this.#changes.notify();
    return this.respond(query);
  }

  /** Resolves when it has been asked so often. */
  until(count: number): Promise<void> {
    return this.#changes.until(() => this.asked.length >= count, 5_000, `${count} queries`);
  }
}

/** Answers when the test calls `release`. */
export class HoldingResolver extends FakeResolver {
  readonly #held = new Map<Query, PromiseWithResolvers<Message>>();

  constructor() {
    super((query) => {
      const held = Promise.withResolvers<Message>();
      this.#held.set(query, held);
      return held.promise;
    });
  }

  /** Answers the given queries in this order; by default all that wait. */
  release(queries: readonly Query[] = [...this.#held.keys()], fields: ResponseFields = {}): void {
    for (const query of queries) this.#take(query).resolve(addressed(query, fields));
  }

  fail(query: Query, error: unknown): void {
    this.#take(query).reject(error);
  }

  #take(query: Query): PromiseWithResolvers<Message> {
    const held = this.#held.get(query);
    if (!held) throw new Error(`The query for ${query.message.name} does not wait`);
    this.#held.delete(query);
    return held;
  }
}

function unrooted(name: string): string {
  return name === "." ? name : name.replace(/\.$/, "");
}

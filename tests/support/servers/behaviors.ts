/** How a DoT server delivers its answers. Each keeps its state per connection and takes the answer as its last parameter. */
import { addressed, type Answer } from "../packets/answers.ts";
import type { Behavior, DotConnection } from "./dot_connection.ts";
import { frame } from "../packets/frames.ts";

/** Sends one answer. */
type Deliver = (answer: Uint8Array, connection: DotConnection) => void | Promise<void>;

/** Answers each query as soon as the answer is there. */
export function answering(answer: Answer = addressed()): Behavior {
  return delivering(answer, (message, connection) => connection.send(message));
}

/** Never answers. */
export const silent: Behavior = () => () => {};

/** Answers each query after a real delay, none waiting for another. */
export function delayed(milliseconds: number, answer: Answer = addressed()): Behavior {
  return delivering(answer, async (message, connection) => {
    await connection.sleep(milliseconds);
    await connection.send(message);
  });
}

/** Holds answers until there are `count`, then sends them in the reverse order, each in a write of its own. */
export function reversed(count: number, answer: Answer = addressed()): Behavior {
  return batched(count, answer, (messages, connection) => sendEach(messages.reverse(), connection));
}

/** Holds answers until there are `count`, then sends them in an order that depends on `seed` only. */
export function shuffled(count: number, seed: number, answer: Answer = addressed()): Behavior {
  const random = generator(seed);
  return batched(count, answer, (messages, connection) => sendEach(shuffle(messages, random), connection));
}

/** Holds answers until there are `count`, then sends them in one write. */
export function coalesced(count: number, answer: Answer = addressed()): Behavior {
  return batched(count, answer, (messages, connection) => connection.send(...messages));
}

/** Sends each answer twice. */
export function duplicated(answer: Answer = addressed()): Behavior {
  return delivering(answer, (message, connection) => connection.send(message, message));
}

/** Sends each octet in a write, and so in a TLS record, of its own. */
export function byteByByte(answer: Answer = addressed()): Behavior {
  return queued(answer, async (message, connection) => {
    for (const octet of frame(message)) await connection.write(Uint8Array.of(octet));
  });
}

/** Ends the connection after every `count` answers. Later queries on it get no answer. */
export function endingAfter(
  count: number,
  how: "end" | "cut" | "reset" = "end",
  answer: Answer = addressed(),
): Behavior {
  return (connection) => {
    let left = count;
    return delivering(answer, async (message) => {
      if (left <= 0) return;
      const last = --left === 0;
      await connection.send(message);
      if (last) connection[how]();
    })(connection);
  };
}

/** Sends FIN instead of answers, and reads on: the server's half-close. */
export const endingInsteadOfAnswering: Behavior = (connection) => () => connection.end();

/** Answers only when the client has sent FIN: the client's half-close. */
export function answeringAfterClientEnd(answer: Answer = addressed()): Behavior {
  return delivering(answer, async (message, connection) => {
    await connection.clientEnded;
    await connection.send(message);
  });
}

/** Does as `behavior` does, and ends the connection when no query has come for so long (RFC 7766 §6.2.3). */
export function endingWhenIdle(milliseconds: number, behavior: Behavior = answering()): Behavior {
  return (connection) => {
    const handle = behavior(connection);
    let callOff = connection.after(milliseconds, () => connection.end());
    return (query) => {
      callOff();
      callOff = connection.after(milliseconds, () => connection.end());
      return handle(query);
    };
  };
}

/** Sends the first half of the frame, then RST. */
export function resettingWithinFrame(answer: Answer = addressed()): Behavior {
  return delivering(answer, async (message, connection) => {
    await connection.write(frame(message).subarray(0, 2 + message.length >> 1));
    connection.reset();
  });
}

/** Announces more octets than it sends, then ends the connection. */
export function endingWithinFrame(answer: Answer = addressed()): Behavior {
  return delivering(answer, async (message, connection) => {
    await connection.write(frame(message).subarray(0, -1));
    connection.end();
  });
}

/** Holds answers until the test lets them go. */
export class Hold {
  #held: { message: Uint8Array; connection: DotConnection }[] = [];
  readonly behavior: Behavior;

  constructor(answer: Answer = addressed()) {
    this.behavior = delivering(answer, (message, connection) => {
      this.#held.push({ message, connection });
    });
  }

  /** Sends `count` of the answers held, or all of them, oldest first. */
  async release(count = this.#held.length): Promise<void> {
    for (const { message, connection } of this.#held.splice(0, count)) await connection.send(message);
  }
}

function delivering(answer: Answer, deliver: Deliver): Behavior {
  return (connection) => async (query) => {
    const message = await answer(query, connection);
    if (message) await deliver(message, connection);
  };
}

/** As `delivering`, one answer wholly after the other. */
function queued(answer: Answer, deliver: Deliver): Behavior {
  return (connection) => {
    let before = Promise.resolve();
    const inTurn = delivering(answer, (message) => before = before.then(() => deliver(message, connection)));
    return inTurn(connection);
  };
}

function batched(
  count: number,
  answer: Answer,
  deliver: (messages: Uint8Array[], connection: DotConnection) => Promise<void>,
): Behavior {
  return (connection) => {
    const held: Uint8Array[] = [];
    return delivering(answer, async (message) => {
      held.push(message);
      if (held.length === count) await deliver(held.splice(0), connection);
    })(connection);
  };
}

async function sendEach(messages: Uint8Array[], connection: DotConnection): Promise<void> {
  for (const message of messages) await connection.send(message);
}

/** Fisher and Yates. */
function shuffle<T>(items: T[], random: () => number): T[] {
  for (let last = items.length - 1; last > 0; last--) {
    const other = Math.floor(random() * (last + 1));
    [items[last], items[other]] = [items[other]!, items[last]!];
  }
  return items;
}

/** Numbers from 0 up to 1 that are the same in every run (mulberry32). */
function generator(seed: number): () => number {
  let state = seed;
  return () => {
    state = state + 0x6d2b79f5 | 0;
    let mixed = Math.imul(state ^ state >>> 15, state | 1);
    mixed ^= mixed + Math.imul(mixed ^ mixed >>> 7, mixed | 61);
    return ((mixed ^ mixed >>> 14) >>> 0) / 2 ** 32;
  };
}

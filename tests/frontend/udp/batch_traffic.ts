/** Random traffic for a MmsgSocket, with checks of its buffers. */
import fc from "fast-check";
import { MmsgSocket } from "../../../lib/frontend/udp/mmsg.ts";
import { findDescriptor, type Library } from "../../../lib/platform/libc.ts";
import { assert, assertEquals } from "../../support/assert.ts";
import { within } from "../../support/within.ts";
import { assertFilled, BATCH, Bystanders, bytesFor, collectGarbage, NAME, SLOT } from "./watched_library.ts";

const CLIENTS = 5;
const CANARY = 0xa5;
/** Bytes that a socket's buffer holds for certain; the kernel counts a datagram as about twice its length. */
const ROOM = 150_000;
const COST = 1_000;

/** What happens until all that was sent has been received and answered. */
export interface Round {
  /** Of datagrams: who sends, and how many bytes. */
  readonly sent: readonly { readonly client: number; readonly length: number }[];
  /** So many small ones more. */
  readonly burst: number;
  /** Of replies, over and over: how many bytes, and whether they wait for the next round. */
  readonly replies: readonly { readonly length: number; readonly waits: boolean }[];
  /** Replies to addresses that lead nowhere go among them, every so many. */
  readonly oddEvery: number;
  readonly collects: boolean;
}

const lengths = fc.oneof(
  { weight: 6, arbitrary: fc.integer({ min: 0, max: 600 }) },
  { weight: 2, arbitrary: fc.integer({ min: SLOT - 2, max: SLOT + 2 }) },
  { weight: 1, arbitrary: fc.constantFrom(0, 8_191, 20_000, 65_507) },
);
export const rounds: fc.Arbitrary<Round[]> = fc.array(
  fc.record({
    sent: fc.array(fc.record({ client: fc.nat(CLIENTS - 1), length: lengths }), { maxLength: 30 }),
    burst: fc.constantFrom(0, 0, 1, BATCH, BATCH + 1, 140),
    replies: fc.array(
      fc.record({ length: fc.oneof(fc.nat(600), fc.constantFrom(0, SLOT - 1, SLOT)), waits: fc.boolean() }),
      { minLength: 1, maxLength: 20 },
    ),
    oddEvery: fc.integer({ min: 2, max: 40 }),
    collects: fc.boolean(),
  }),
  { minLength: 1, maxLength: 4 },
);

/** A client, and the replies that it expects. */
interface Client {
  readonly socket: Deno.DatagramConn;
  readonly port: number;
  readonly expected: string[];
}

/** Sockets of one address, of which the first is the batch's. */
export class BatchTraffic implements Disposable {
  readonly batch: MmsgSocket;
  readonly clients: readonly Client[];
  readonly #server: Deno.DatagramConn;
  readonly #address: Deno.NetAddr;
  /** The buffer of senders. A strong reference would hide that the batch itself has none. */
  readonly #names: WeakRef<ArrayBufferLike>;
  readonly #odd: readonly Uint8Array[];
  #seed = 0;
  #waiting: { reply: Uint8Array; to: Uint8Array; client: Client }[] = [];

  constructor(library: Library, { hostname, odd }: Place) {
    const open = () => Deno.listenDatagram({ transport: "udp", hostname, port: 0 });
    this.#server = open();
    this.#address = { ...this.#server.addr as Deno.NetAddr, hostname };
    this.batch = new MmsgSocket(library, findDescriptor(library, this.#server.addr as Deno.NetAddr));
    this.batch.put(new Uint8Array(0), new Uint8Array(NAME));
    assertEquals(this.batch.receive(1), 1);
    this.#names = new WeakRef(this.batch.sender(0).buffer);
    this.#odd = odd;
    this.clients = Array.from({ length: CLIENTS }, () => {
      const socket = open();
      return { socket, port: (socket.addr as Deno.NetAddr).port, expected: [] };
    });
  }

  async play({ sent, burst, replies, oddEvery, collects }: Round): Promise<void> {
    const small = Array.from({ length: burst }, (_, i) => ({ client: i % CLIENTS, length: i % 30 }));
    const expected = await this.#send([...small, ...sent]);
    if (collects) collectGarbage();
    const bystanders = new Bystanders();
    const released = this.#waiting.splice(0);
    const received: string[] = [];
    for (let turns = 0; received.length < expected.length && turns < 2_000; turns++) {
      const count = this.#receive();
      for (let i = 0; i < count; i++) {
        received.push(this.#take(i, replies[received.length % replies.length]!));
        if (received.length % oddEvery === 0) this.#sendOddly(received.length);
      }
      // Loopback delivers at once, or when the kernel comes to it.
      if (count === 0) await new Promise((resolve) => setTimeout(resolve, 1));
    }
    assertEquals(received.toSorted(), expected.toSorted());
    for (const { reply, to, client } of released) this.#reply(reply, to, client);
    this.batch.flush();
    bystanders.assertUntouched();
    for (const client of this.clients) await this.#drain(client);
  }

  [Symbol.dispose](): void {
    for (const { socket } of this.clients) socket.close();
    this.#server.close();
  }

  /** Sends the datagrams that fit into the socket's buffer, and returns their ports and bytes as text. */
  async #send(datagrams: Round["sent"]): Promise<string[]> {
    const expected: string[] = [];
    let room = ROOM;
    for (const { client, length } of datagrams) {
      if ((room -= length + COST) < 0) break;
      const { socket, port } = this.clients[client]!;
      const bytes = bytesFor(++this.#seed, length);
      await socket.send(bytes, this.#address);
      expected.push(textOf(port, bytes.subarray(0, SLOT)));
    }
    return expected;
  }

  /** Receives a batch, and checks that only the received bytes and addresses were written. */
  #receive(): number {
    const bytes = this.batch.incoming.fill(CANARY);
    const names = new Uint8Array(this.#names.deref()!).fill(CANARY);
    const count = this.batch.receive();
    assert(count <= BATCH);
    for (let i = 0; i < BATCH; i++) {
      const length = i < count ? this.batch.length(i) : 0;
      assert(length <= SLOT);
      assertFilled(
        bytes.subarray(i * SLOT + length, (i + 1) * SLOT),
        CANARY,
        `slot ${i}, behind ${length}`,
      );
      const named = i >= count ? 0 : names[i * NAME] === 2 ? 16 : 28;
      assertFilled(
        names.subarray(i * NAME + named, (i + 1) * NAME),
        CANARY,
        `address ${i}, behind ${named}`,
      );
    }
    return count;
  }

  /** Looks at a datagram and answers it, now or in the next round. */
  #take(i: number, { length, waits }: Round["replies"][number]): string {
    const datagram = this.batch.datagram(i);
    assertEquals(datagram.length, this.batch.length(i));
    const sender = this.batch.sender(i);
    const port = sender[2]! << 8 | sender[3]!;
    const client = this.clients.find((each) => each.port === port);
    assert(client, `port ${port} is nobody's`);
    const reply = bytesFor(++this.#seed, length);
    if (waits) this.#waiting.push({ reply, to: sender.slice(), client });
    else this.#reply(reply, sender, client);
    return textOf(port, datagram);
  }

  #reply(reply: Uint8Array, to: Uint8Array, client: Client): void {
    const queued = client.expected.length * COST;
    const fitting = reply.subarray(0, Math.max(ROOM / 2 - queued, 0) / COST * 50);
    this.batch.send(fitting, to);
    client.expected.push(textOf(0, fitting));
  }

  #sendOddly(number: number): void {
    this.batch.send(bytesFor(number, number % 700), this.#odd[number % this.#odd.length]!);
  }

  /** Reads the replies of the client up to a last datagram that is sent after all others. */
  async #drain({ socket, port, expected }: Client): Promise<void> {
    await this.#server.send(LAST_WORD, { ...this.#address, port });
    const got: string[] = [];
    for (let isLast = false; !isLast || got.length < expected.length;) {
      const [reply, from] = await within(5_000, socket.receive(), "a reply");
      assertEquals((from as Deno.NetAddr).port, this.#address.port);
      if (reply.length === LAST_WORD.length) isLast = true;
      else got.push(textOf(0, reply));
    }
    assertEquals(got.toSorted(), expected.toSorted());
    expected.length = 0;
  }
}

/** Longer than any reply. */
const LAST_WORD = new Uint8Array(SLOT + 1);

function textOf(port: number, bytes: Uint8Array): string {
  return `${port} ${bytes.length} ${bytes.subarray(0, 64).toHex()} ${bytes.subarray(-64).toHex()}`;
}

export interface Place {
  readonly hostname: string;
  /** Socket addresses that cannot be sent to from there, or that no socket has. */
  readonly odd: readonly Uint8Array[];
}

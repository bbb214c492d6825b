/**
 * The amount of work that one thread does per turn of the event loop, shared by all of its sockets.
 *
 * `receive` and `read` return at once on a socket that has data. Neither promises nor `setImmediate` make the
 * runtime poll its other sockets; tokio polls them only every 61st time. A busy socket would keep the thread, and
 * no response of an upstream would be read. `LoopBudget` therefore sends a datagram to itself and awaits it (the
 * self-pipe trick): only the kernel delivers it, so the runtime must poll. That takes 13 µs; `setTimeout` takes
 * 2 ms.
 */

/** Work per turn, in queries. The cache answers that many in three milliseconds. */
const QUERIES_PER_TURN = 1024;
/** Work of one waiting socket before the next waiting socket continues, in queries. */
const QUERIES_PER_SLICE = 64;
/** A query that waits for an upstream costs this many hits; with less, more queries would start than finish. */
const PENDING_COST = 3;
/** This many bytes of a query or reply cost about as much as one small query. */
const BYTES_PER_QUERY = 1024;
/** Longest wait for the wake-up datagram. It expires only if loopback is missing or blocked. */
const WAKE_TIMEOUT_MS = 5;

export class LoopBudget implements Disposable {
  #spent = 0;
  /** `isExhausted` is true from here on: the end of the turn, or of one socket's slice. */
  #limit = QUERIES_PER_TURN;
  /** Callbacks of the sockets that wait for the next turn, oldest first. */
  readonly #waiting: (() => void)[] = [];
  #isRunning = false;
  #wakeSocket: Deno.DatagramConn | undefined;
  /** Sequence number of the wake-up datagram. A datagram with another number is stale or foreign and is ignored. */
  readonly #sequence = new Uint8Array(1);
  readonly #received = new Uint8Array(1);
  #receiving: Promise<void> | undefined;
  #wakeTimer: ReturnType<typeof setTimeout> | undefined;
  #isDisposed = false;

  /** Spends the cost of this many small queries. */
  consume(queries: number): void {
    this.#spent += queries;
  }

  /** Spends the cost of reading or writing a message of this size, beyond that of a small query. */
  consumeBytes(bytes: number): void {
    this.#spent += Math.floor(bytes / BYTES_PER_QUERY);
  }

  /** Spends the additional cost of a query that waits for its response. */
  consumePending(): void {
    this.#spent += PENDING_COST;
  }

  /** Whether the caller must await `yieldToKernel` before it does more work. */
  get isExhausted(): boolean {
    return this.#spent >= this.#limit;
  }

  /**
   * Resolves after the kernel was polled for all sockets, and after each socket that waited longer has used its
   * slice. Does not resolve if the wait is interrupted by disposal.
   */
  yieldToKernel(): Promise<void> {
    return new Promise((resolve) => {
      this.#waiting.push(resolve);
      if (!this.#isRunning) void this.#runTurns();
    });
  }

  async #runTurns(): Promise<void> {
    this.#isRunning = true;
    while (this.#waiting.length > 0) {
      await this.#startTurn();
      this.#spent = 0;
      // Sockets that join during this loop wait for the next poll.
      for (let left = this.#waiting.length; left > 0 && this.#spent < QUERIES_PER_TURN; left--) {
        this.#limit = left > 1
          ? Math.min(this.#spent + QUERIES_PER_SLICE, QUERIES_PER_TURN)
          : QUERIES_PER_TURN;
        this.#waiting.shift()!();
        await undefined; // the socket runs until its next `await`
      }
      this.#limit = QUERIES_PER_TURN;
    }
    this.#isRunning = false;
  }

  [Symbol.dispose](): void {
    this.#isDisposed = true;
    clearTimeout(this.#wakeTimer);
    this.#wakeSocket?.close();
    this.#wakeSocket = undefined;
  }

  /** Resolves after the kernel was polled, or after the timeout if the datagram was not delivered. */
  #startTurn(): Promise<void> {
    if (this.#isDisposed) return Promise.resolve();
    return new Promise((resolve) => {
      const timer = this.#wakeTimer = setTimeout(resolve, WAKE_TIMEOUT_MS);
      this.#wake().then(() => {
        clearTimeout(timer);
        resolve();
      }, () => {}); // after an error the timer resolves
    });
  }

  async #wake(): Promise<void> {
    const socket = this.#wakeSocket ??= Deno.listenDatagram({
      transport: "udp",
      hostname: "127.0.0.1",
      port: 0,
    });
    this.#sequence[0]!++;
    // Receive before sending: a datagram that has already arrived is returned without a poll.
    this.#receiving ??= this.#receiveWake(socket);
    await Promise.all([this.#receiving, socket.send(this.#sequence, socket.addr)]);
  }

  async #receiveWake(socket: Deno.DatagramConn): Promise<void> {
    const { port } = socket.addr as Deno.NetAddr;
    try {
      for (;;) {
        const [, from] = await socket.receive(this.#received);
        if ((from as Deno.NetAddr).port === port && this.#received[0] === this.#sequence[0]) return;
      }
    } finally {
      this.#receiving = undefined; // after an error, too: the next turn receives again
    }
  }
}

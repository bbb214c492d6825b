/** What may be done in one turn: so many answers from the cache take three milliseconds. */
const QUERIES_PER_TURN = 1024;
/** For so many more counts a query that has to wait: else more of them would come in than go out. */
const PENDING_COST = 3;
/** So many bytes of a query or a reply cost about as much as one small query. */
const BYTES = 1024;
/** What one that waits may do before the next one that waits goes on, in the same measure as `TURN`. */
const SLICE = 64;
/** How long the bell is waited for, in ms: only where loopback is not there, or lets nothing through. */
const WAKE_TIMEOUT_MS = 5;

/**
 * Turns of the event loop, for all sockets of a thread. `receive` and `read` of a socket that has something return at
 * once, and neither promises nor `setImmediate` make the runtime ask the kernel what has come to others (tokio does so at
 * every 61st round only): who keeps one socket full would have the thread to himself, and no answer of an upstream would
 * be read. What is waited for here is a datagram to oneself, which none but the kernel can bring (the self-pipe trick).
 * That takes 13 µs, where `setTimeout` takes 2 ms.
 */
export class LoopBudget implements Disposable {
  #spent = 0;
  /** What may be spent before it is the others' turn. */
  #limit = QUERIES_PER_TURN;
  /** Those that wait for their turn, in the order in which they came. */
  readonly #waiting: (() => void)[] = [];
  #isTurning = false;
  #wakeSocket: Deno.DatagramConn | undefined;
  /** Another one each time, so that what was not heard in time, or is a stranger's, is passed over. */
  readonly #sequence = new Uint8Array(1);
  readonly #received = new Uint8Array(1);
  #receiving: Promise<void> | undefined;
  #wakeTimer: ReturnType<typeof setTimeout> | undefined;
  #disposed = false;

  /** Tells that so many queries have been answered, or as much has been done. */
  consume(queries: number): void {
    this.#spent += queries;
  }

  /** Tells that a query or a reply of so many bytes was looked through: a large one is worth many small ones. */
  spendBytes(bytes: number): void {
    this.#spent += Math.floor(bytes / BYTES);
  }

  /** Tells that one of them waits for its answer. */
  consumePending(): void {
    this.#spent += PENDING_COST;
  }

  /** Whether it is the others' turn: whoever has something to answer waits for the `next` one then. */
  get isExhausted(): boolean {
    return this.#spent >= this.#limit;
  }

  /**
   * Resolves when the kernel has been asked what has come to any socket, and those that have waited longer have had a
   * slice each; never for those who are disposed of meanwhile.
   */
  yieldToKernel(): Promise<void> {
    return new Promise((resolve) => {
      this.#waiting.push(resolve);
      if (!this.#isTurning) void this.#turnAll();
    });
  }

  async #turnAll(): Promise<void> {
    this.#isTurning = true;
    while (this.#waiting.length > 0) {
      await this.#startTurn();
      this.#spent = 0;
      // Who comes while these go on waits for the kernel to be asked again.
      for (let left = this.#waiting.length; left > 0 && this.#spent < QUERIES_PER_TURN; left--) {
        this.#limit = left > 1 ? Math.min(this.#spent + SLICE, QUERIES_PER_TURN) : QUERIES_PER_TURN;
        this.#waiting.shift()!();
        await undefined; // it goes on, up to its own next `await`
      }
      this.#limit = QUERIES_PER_TURN;
    }
    this.#isTurning = false;
  }

  [Symbol.dispose](): void {
    this.#disposed = true;
    clearTimeout(this.#wakeTimer);
    this.#wakeSocket?.close();
    this.#wakeSocket = undefined;
  }

  #startTurn(): Promise<void> {
    if (this.#disposed) return Promise.resolve();
    return new Promise((resolve) => {
      const deaf = this.#wakeTimer = setTimeout(resolve, WAKE_TIMEOUT_MS);
      this.#wake().then(() => {
        clearTimeout(deaf);
        resolve();
      }, () => {}); // and so it is the timer that is waited for
    });
  }

  async #wake(): Promise<void> {
    const bell = this.#wakeSocket ??= Deno.listenDatagram({
      transport: "udp",
      hostname: "127.0.0.1",
      port: 0,
    });
    this.#sequence[0]!++;
    this.#receiving ??= this.#receiveWake(bell); // before it rings: what is there already is not waited for
    await Promise.all([this.#receiving, bell.send(this.#sequence, bell.addr)]);
  }

  async #receiveWake(bell: Deno.DatagramConn): Promise<void> {
    const { port } = bell.addr as Deno.NetAddr;
    let from: Deno.Addr;
    do [, from] = await bell.receive(this.#received); while (
      (from as Deno.NetAddr).port !== port || this.#received[0] !== this.#sequence[0]
    );
    this.#receiving = undefined;
  }
}

/** How often clocks and addresses are looked at, in ms. */
const INTERVAL = 2000;
/** In ms; clocks that are merely adjusted drift apart by at most 1 ms in this interval (500 ppm, adjtimex(2)). */
const JUMP = 1000;

export interface NetworkWatchOptions {
  /** Called when what is known of the network no longer holds. */
  readonly onChange: (reason: NetworkChange) => void;
  /** Time that stands still while the machine sleeps, in ms. */
  readonly monotonic?: () => number;
  /** Time that goes on, in ms. */
  readonly wall?: () => number;
  readonly addresses?: () => readonly string[];
}

export type NetworkChange = "clock jumped" | "addresses changed";

/**
 * Notices that this machine has slept, because the wall clock has jumped against the monotonic one, and that it has other
 * addresses than before. Either way connections are dead or lead out through what is no longer there (field notes 1, 4).
 */
export class NetworkWatch implements Disposable {
  readonly #onChange: (reason: NetworkChange) => void;
  readonly #monotonic: () => number;
  readonly #wall: () => number;
  readonly #addresses: () => readonly string[];
  #timer: ReturnType<typeof setTimeout> | undefined;
  #offset: number;
  #known: string;

  constructor(options: NetworkWatchOptions) {
    this.#onChange = options.onChange;
    this.#monotonic = options.monotonic ?? (() => performance.now());
    this.#wall = options.wall ?? (() => Date.now());
    this.#addresses = options.addresses ?? localAddresses;
    this.#offset = this.#wall() - this.#monotonic();
    this.#known = this.#addressText();
    this.#lookLater();
  }

  [Symbol.dispose](): void {
    clearTimeout(this.#timer);
  }

  #lookLater(): void {
    this.#timer = setTimeout(() => {
      this.#lookLater(); // first, so that the callback may dispose
      this.#look();
    }, INTERVAL);
  }

  /** Both at once are one change: who wakes up elsewhere has slept and has other addresses. */
  #look(): void {
    const offset = this.#wall() - this.#monotonic();
    const known = this.#addressText();
    const hasJumped = Math.abs(offset - this.#offset) >= JUMP;
    const isElsewhere = known !== this.#known;
    this.#offset = offset;
    this.#known = known;
    if (hasJumped) this.#onChange("clock jumped");
    else if (isElsewhere) this.#onChange("addresses changed");
  }

  #addressText(): string {
    return this.#addresses().toSorted().join(" ");
  }
}

/** Without those of loopback and of the link only: they lead to no upstream, and come with every container. */
function localAddresses(): string[] {
  return Deno.networkInterfaces()
    .filter(({ name, address }) => name !== "lo" && !/^(127\.|::1$|169\.254\.|fe80:)/i.test(address))
    .map(({ name, address }) => `${name}/${address}`);
}

/** How often clocks and addresses are looked at, in ms. */
const INTERVAL = 2000;
/** In ms; clocks that are merely adjusted drift apart by at most 1 ms in this interval (500 ppm, adjtimex(2)). */
const JUMP = 1000;

export interface NetworkWatchOptions {
  /** Called when what is known of the network no longer holds. */
  readonly onChange: (reason: NetworkChange) => void;
  /** Called when the addresses cannot be listed, once until they can. */
  readonly onTrouble: (error: unknown) => void;
  /** Time that stands still while the machine sleeps, in ms. */
  readonly monotonic?: () => number;
  /** Time that goes on, in ms. */
  readonly wall?: () => number;
  readonly addresses?: () => readonly string[];
}

export type NetworkChange = "clock jumped" | "addresses changed";

/**
 * Notices that this machine has slept, because the wall clock has jumped against the monotonic one, and that it has other
 * addresses than before. Either way connections are dead or lead out through what is no longer there.
 */
export class NetworkWatch implements Disposable {
  readonly #onChange: (reason: NetworkChange) => void;
  readonly #monotonic: () => number;
  readonly #wall: () => number;
  readonly #addresses: () => readonly string[];
  readonly #onTrouble: (error: unknown) => void;
  #timer: ReturnType<typeof setTimeout> | undefined;
  #offset: number;
  /** Undefined until they could be listed. */
  #known: string | undefined;
  #inTrouble = false;

  constructor(options: NetworkWatchOptions) {
    this.#onChange = options.onChange;
    this.#onTrouble = options.onTrouble;
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
    const known = this.#addressText() ?? this.#known;
    const hasJumped = Math.abs(offset - this.#offset) >= JUMP;
    const isElsewhere = this.#known !== undefined && known !== this.#known;
    this.#offset = offset;
    this.#known = known;
    if (hasJumped) this.#onChange("clock jumped");
    else if (isElsewhere) this.#onChange("addresses changed");
  }

  /** Undefined where the host cannot list them just now: then they count as unchanged. */
  #addressText(): string | undefined {
    try {
      const text = this.#addresses().toSorted().join(" ");
      this.#inTrouble = false;
      return text;
    } catch (error) {
      if (!this.#inTrouble) this.#onTrouble(error);
      this.#inTrouble = true;
      return undefined;
    }
  }
}

/** Without those of loopback and of the link only: they lead to no upstream, and come with every container. */
function localAddresses(): string[] {
  return Deno.networkInterfaces()
    .filter(({ name, address }) => name !== "lo" && !/^(127\.|::1$|169\.254\.|fe80:)/i.test(address))
    .map(({ name, address }) => `${name}/${address}`);
}

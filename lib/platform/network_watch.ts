/** Detects sleep of the machine and changes of its network. */

/** Interval between two checks. */
const INTERVAL_MS = 2000;
/** Minimum jump of the clock. An adjusted clock drifts by at most 1 ms per interval (500 ppm, adjtimex(2)). */
const JUMP_MS = 1000;

export interface NetworkWatchOptions {
  /** Called when connections may no longer work. */
  readonly onChange: (reason: NetworkChange) => void;
  /** Called when the addresses cannot be listed; once until that succeeds again. */
  readonly onTrouble: (error: unknown) => void;
  /** Clock that stops while the machine sleeps, in ms. */
  readonly monotonic?: () => number;
  /** Clock that continues during sleep, in ms. */
  readonly wall?: () => number;
  readonly addresses?: () => readonly string[];
}

export type NetworkChange = "clock jumped" | "addresses changed";

/**
 * Detects that this machine has slept (the wall clock has jumped against the monotonic one), and that its addresses have
 * changed. In both cases existing connections are probably dead.
 */
export class NetworkWatch implements Disposable {
  readonly #onChange: (reason: NetworkChange) => void;
  readonly #monotonic: () => number;
  readonly #wall: () => number;
  readonly #addresses: () => readonly string[];
  readonly #onTrouble: (error: unknown) => void;
  #timer: ReturnType<typeof setTimeout> | undefined;
  #offset: number;
  /** Latest list of addresses; undefined until it is available. */
  #addressList: string | undefined;
  #hasFailed = false;

  constructor(options: NetworkWatchOptions) {
    this.#onChange = options.onChange;
    this.#onTrouble = options.onTrouble;
    this.#monotonic = options.monotonic ?? (() => performance.now());
    this.#wall = options.wall ?? (() => Date.now());
    this.#addresses = options.addresses ?? localAddresses;
    this.#offset = this.#wall() - this.#monotonic();
    this.#addressList = this.#addressText();
    this.#scheduleCheck();
  }

  [Symbol.dispose](): void {
    clearTimeout(this.#timer);
  }

  #scheduleCheck(): void {
    this.#timer = setTimeout(() => {
      this.#scheduleCheck(); // First, because the callback may dispose.
      this.#check();
    }, INTERVAL_MS);
  }

  /** Reports both changes at once as one: a machine that wakes up elsewhere also has other addresses. */
  #check(): void {
    const offset = this.#wall() - this.#monotonic();
    const known = this.#addressText() ?? this.#addressList;
    const hasJumped = Math.abs(offset - this.#offset) >= JUMP_MS;
    const hasMoved = this.#addressList !== undefined && known !== this.#addressList;
    this.#offset = offset;
    this.#addressList = known;
    if (hasJumped) this.#onChange("clock jumped");
    else if (hasMoved) this.#onChange("addresses changed");
  }

  /** The list of addresses as text. Undefined if it is not available; then it counts as unchanged. */
  #addressText(): string | undefined {
    try {
      const text = this.#addresses().toSorted().join(" ");
      this.#hasFailed = false;
      return text;
    } catch (error) {
      if (!this.#hasFailed) this.#onTrouble(error);
      this.#hasFailed = true;
      return undefined;
    }
  }
}

/** All addresses except loopback and link-local: they reach no upstream, and change with every container. */
function localAddresses(): string[] {
  return Deno.networkInterfaces()
    .filter(({ name, address }) => name !== "lo" && !/^(127\.|::1$|169\.254\.|fe80:)/i.test(address))
    .map(({ name, address }) => `${name}/${address}`);
}

import type { UpstreamError } from "../errors.ts";

/** Whether an upstream was reached the last time, and if not, why; each change is told once. */
export class Reachability {
  state: "untried" | "up" | "down" = "untried";
  lastError: UpstreamError | undefined;
  readonly #onChange: (state: "up" | "down", error?: UpstreamError) => void;

  constructor(onChange: (state: "up" | "down", error?: UpstreamError) => void) {
    this.#onChange = onChange;
  }

  /** A wrong pin is no passing trouble (RFC 7858 §4.2: "non-recoverable error"). */
  get isRuledOut(): boolean {
    return this.lastError?.failure === "pin mismatch";
  }

  reached(): void {
    this.lastError = undefined;
    this.#change("up");
  }

  /** What was held against it may have been another network's doing: a portal's certificate, for one. */
  forget(): void {
    this.lastError = undefined;
  }

  /** Another cause of being away is another change. */
  away(error: UpstreamError): void {
    if (this.lastError?.failure !== error.failure) this.state = "untried";
    this.lastError = error;
    this.#change("down", error);
  }

  #change(state: "up" | "down", error?: UpstreamError): void {
    if (this.state === state) return;
    this.state = state;
    this.#onChange(state, error);
  }
}

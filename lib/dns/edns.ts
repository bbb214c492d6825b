import { Option } from "./codes.ts";
import { FormatError } from "./format_error.ts";
import { readUint16 } from "./records.ts";

/** The DO bit, in the OPT record's last 16 bits of TTL (RFC 3225 §3). */
export const DNSSEC_OK = 0x8000;

/** The OPT record of a message, read in place (RFC 6891 §6.1). Throws `FormatError` if its options do not add up. */
export class Edns {
  readonly #bytes: Uint8Array;
  /** Offset of TYPE. */
  readonly #fixed: number;
  readonly #end: number;

  constructor(bytes: Uint8Array, fixed: number, end: number) {
    this.#bytes = bytes;
    this.#fixed = fixed;
    this.#end = end;
    for (let at = fixed + 10; at < end; at = this.#after(at)) {
      if (at + 4 > end || this.#after(at) > end) throw new FormatError("an EDNS option runs past its record");
    }
  }

  /** The largest UDP payload the sender takes, in octets, as it stands there; less than 512 means 512. */
  get udpSize(): number {
    return readUint16(this.#bytes, this.#fixed + 2);
  }

  /** The upper eight bits of the twelve-bit RCODE. */
  get extendedRcode(): number {
    return this.#bytes[this.#fixed + 4]!;
  }

  get version(): number {
    return this.#bytes[this.#fixed + 5]!;
  }

  get dnssecOk(): boolean {
    return (readUint16(this.#bytes, this.#fixed + 6) & DNSSEC_OK) !== 0;
  }

  /** The data of the first option with this code; undefined where there is none. */
  option(code: number): Uint8Array | undefined {
    for (let at = this.#fixed + 10; at < this.#end; at = this.#after(at)) {
      if (readUint16(this.#bytes, at) === code) return this.#bytes.subarray(at + 4, this.#after(at));
    }
    return undefined;
  }

  /** TIMEOUT of the keep-alive option, in ms (RFC 7828 §3.1); undefined where there is none. */
  get keepAlive(): number | undefined {
    const timeout = this.option(Option.TCP_KEEPALIVE);
    return timeout?.length === 2 ? readUint16(timeout, 0) * 100 : undefined;
  }

  /** Each extended error as it stands, option header included (RFC 8914 §2: there may be several). */
  extendedErrors(): Uint8Array[] {
    const found: Uint8Array[] = [];
    for (let at = this.#fixed + 10; at < this.#end; at = this.#after(at)) {
      if (readUint16(this.#bytes, at) !== Option.EXTENDED_ERROR) continue;
      if (this.#after(at) >= at + 6) found.push(this.#bytes.subarray(at, this.#after(at)));
    }
    return found;
  }

  #after(at: number): number {
    return at + 4 + readUint16(this.#bytes, at + 2);
  }
}

/**
 * An IP address as four words.
 *
 * The folder `net/` has addresses and networks as data. It imports nothing outside, and does no I/O.
 */

/** Index of the word that contains an IPv4 address. */
export const IPV4_WORD = 3;

/**
 * An IP address as four numbers of 32 bits. One object reads the address of each packet, without allocations. The last
 * word contains an IPv4 address, also one that is mapped into `::ffff:0:0/96` (RFC 4291 §2.5.5.2).
 */
export class IpAddress {
  readonly words = new Int32Array(4);
  isIpv4 = false;

  /** Reads an address as text and ignores a zone after "%". Precondition: the text is a valid address. */
  read(text: string): this {
    let value = 0;
    let part = 0;
    for (let i = 0; i < text.length; i++) {
      const code = text.charCodeAt(i);
      if (code === DOT) {
        value = value << 8 | part;
        part = 0;
      } else if (code <= NINE) {
        part = 10 * part + code - ZERO;
      } else {
        return this.#readIpv6(text);
      }
    }
    return this.#setIpv4(value << 8 | part);
  }

  /** Reads the four or sixteen bytes at `offset`, which are in network order. */
  readBytes(bytes: Uint8Array, offset: number, length: 4 | 16): this {
    if (length === 4) return this.#setIpv4(readWord(bytes, offset));
    for (let i = 0; i < 4; i++) this.words[i] = readWord(bytes, offset + 4 * i);
    return this.#unmap();
  }

  #setIpv4(value: number): this {
    const { words } = this;
    words[0] = words[1] = words[2] = 0;
    words[IPV4_WORD] = value;
    this.isIpv4 = true;
    return this;
  }

  #readIpv6(text: string): this {
    this.words.fill(0);
    const gap = text.indexOf("::");
    this.#readGroups(text, 0, gap < 0 ? text.length : gap, 0);
    if (gap >= 0) this.#readGroups(text, gap + 2, text.length, 8 - countGroups(text, gap + 2));
    return this.#unmap();
  }

  /** Writes the groups of `text` from `from` to `to`, of 16 bits each, beginning at the group `index`. */
  #readGroups(text: string, from: number, to: number, index: number): void {
    let group = 0;
    let at = index;
    for (let i = from; i < to; i++) {
      const code = text.charCodeAt(i);
      if (code === COLON) {
        this.#put(at++, group);
        group = 0;
      } else if (code === DOT) {
        return this.#readTail(text, i, at);
      } else if (code === PERCENT) {
        break;
      } else {
        group = group << 4 | digit(code);
      }
    }
    if (to > from) this.#put(at, group);
  }

  /** Writes a dotted end, as of `::ffff:192.0.2.1`, which stands for two groups. */
  #readTail(text: string, dot: number, index: number): void {
    const value = new IpAddress().read(text.slice(text.lastIndexOf(":", dot) + 1, end(text)))
      .words[IPV4_WORD]!;
    this.#put(index, value >>> 16);
    this.#put(index + 1, value & 0xffff);
  }

  #put(index: number, group: number): void {
    this.words[index >> 1]! |= index & 1 ? group : group << 16;
  }

  #unmap(): this {
    const { words } = this;
    this.isIpv4 = words[0] === 0 && words[1] === 0 && words[2] === 0xffff;
    if (this.isIpv4) words[2] = 0;
    return this;
  }
}

const [ZERO, NINE, DOT, COLON, PERCENT] = [0x30, 0x39, 0x2e, 0x3a, 0x25];

function digit(code: number): number {
  return code <= NINE ? code - ZERO : (code | 0x20) - 0x61 + 10;
}

function end(text: string): number {
  const zone = text.indexOf("%");
  return zone < 0 ? text.length : zone;
}

/** Number of groups from `from` on. A dotted end counts as two. */
function countGroups(text: string, from: number): number {
  const to = end(text);
  if (from >= to) return 0;
  let groups = 1;
  for (let i = from; i < to; i++) {
    const code = text.charCodeAt(i);
    if (code === COLON) groups++;
    else if (code === DOT) return groups + 1;
  }
  return groups;
}

function readWord(bytes: Uint8Array, at: number): number {
  return bytes[at]! << 24 | bytes[at + 1]! << 16 | bytes[at + 2]! << 8 | bytes[at + 3]!;
}

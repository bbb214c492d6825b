/** Where IPv4 addresses stand among the words. */
export const IPV4_WORD = 3;

/**
 * An IP address as four numbers of 32 bits, read anew for each packet and without a single object. An IPv4 address is in
 * the last of them, whether it comes as such or within `::ffff:0:0/96` (RFC 4291 §2.5.5.2).
 */
export class IpAddress {
  readonly words = new Int32Array(4);
  isIpv4 = false;

  /** Takes the text of a valid address, as the system writes it; a zone behind "%" is passed over. */
  read(text: string): this {
    let value = 0;
    let octet = 0;
    for (let i = 0; i < text.length; i++) {
      const code = text.charCodeAt(i);
      if (code === DOT) {
        value = value << 8 | octet;
        octet = 0;
      } else if (code <= NINE) {
        octet = 10 * octet + code - ZERO;
      } else {
        return this.#readIpv6(text);
      }
    }
    return this.#setIpv4(value << 8 | octet);
  }

  /** Takes the four or sixteen octets at `offset`, as A and AAAA records have them. */
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

  /** Sixteen bits for each group from `index` on. */
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

  /** The dotted end, for two groups: `::ffff:192.0.2.1`. */
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

/** How many groups stand behind `from`; a dotted end is two. */
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

/** The two-octet length before each message on a stream (RFC 1035 §4.2.2), written apart from lib/ on purpose. */

/** The messages as one run of octets, each behind its length. */
export function frame(...messages: Uint8Array[]): Uint8Array<ArrayBuffer> {
  const bytes = new Uint8Array(messages.reduce((sum, message) => sum + 2 + message.length, 0));
  let at = 0;
  for (const message of messages) {
    bytes[at] = message.length >> 8;
    bytes[at + 1] = message.length & 0xff;
    bytes.set(message, at + 2);
    at += 2 + message.length;
  }
  return bytes;
}

export function concat(...parts: Uint8Array[]): Uint8Array<ArrayBuffer> {
  const bytes = new Uint8Array(parts.reduce((sum, part) => sum + part.length, 0));
  let at = 0;
  for (const part of parts) {
    bytes.set(part, at);
    at += part.length;
  }
  return bytes;
}

/** Takes a stream in chunks of any size and gives back whole messages. */
export class Unframer {
  #rest: Uint8Array = new Uint8Array(0);

  /** How many octets of an unfinished frame are held. */
  get pending(): number {
    return this.#rest.length;
  }

  push(chunk: Uint8Array): Uint8Array[] {
    const bytes = concat(this.#rest, chunk);
    const messages: Uint8Array[] = [];
    let at = 0;
    while (at + 2 <= bytes.length) {
      const end = at + 2 + (bytes[at]! << 8 | bytes[at + 1]!);
      if (end > bytes.length) break;
      messages.push(bytes.slice(at + 2, end));
      at = end;
    }
    this.#rest = bytes.subarray(at);
    return messages;
  }
}

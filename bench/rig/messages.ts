/** Small DNS messages to measure with. */

const EDNS = Uint8Array.of(0, 0, 41, 4, 208, 0, 0, 0, 0, 0, 0);

interface Options {
  readonly edns?: boolean;
}

/** A query for the addresses of a name. */
export function query(name: string, { edns = false }: Options = {}): Uint8Array {
  return concat(header(0x0100, 0, edns), question(name), edns ? EDNS : new Uint8Array());
}

/** An answer to that query. */
export function response(
  name: string,
  records: readonly Uint8Array[],
  { edns = false }: Options = {},
): Uint8Array {
  return concat(
    header(0x8180, records.length, edns),
    question(name),
    ...records,
    edns ? EDNS : new Uint8Array(),
  );
}

/** An A record whose owner is the question's name, with a TTL of five minutes. */
export function an(address: string): Uint8Array {
  return Uint8Array.of(0xc0, 12, 0, 1, 0, 1, 0, 0, 1, 44, 0, 4, ...address.split(".").map(Number));
}

export function concat(...parts: readonly Uint8Array[]): Uint8Array {
  const whole = new Uint8Array(parts.reduce((sum, part) => sum + part.length, 0));
  let at = 0;
  for (const part of parts) {
    whole.set(part, at);
    at += part.length;
  }
  return whole;
}

function header(flags: number, answers: number, edns: boolean): Uint8Array {
  return Uint8Array.of(0x12, 0x34, flags >> 8, flags & 0xff, 0, 1, 0, answers, 0, 0, 0, edns ? 1 : 0);
}

function question(name: string): Uint8Array {
  const labels = name.split(".").map((label) =>
    concat(Uint8Array.of(label.length), new TextEncoder().encode(label))
  );
  return concat(...labels, Uint8Array.of(0, 0, 1, 0, 1));
}

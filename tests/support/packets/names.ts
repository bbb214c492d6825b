/** Domain names for packets.ts: presentation form and wire form (RFC 1035 §3.1, §4.1.4, §5.1). */

/** The wire form, without compression. A final dot may be given or left out; `\.` and `\DDD` are understood. */
export function composeName(name: string): Uint8Array<ArrayBuffer> {
  const octets: number[] = [];
  for (const label of labelsOf(name)) {
    if (label.length < 1 || label.length > 63) {
      throw new RangeError(`Cannot compose "${name}": a label has 1 to 63 octets`);
    }
    octets.push(label.length, ...label);
  }
  octets.push(0);
  if (octets.length > 255) throw new RangeError(`Cannot compose "${name}": a name has at most 255 octets`);
  return Uint8Array.from(octets);
}

function labelsOf(name: string): number[][] {
  if (name === "." || name === "") return [];
  const labels: number[][] = [[]];
  const tokens = name.replace(/(?<!\\)\.$/, "").matchAll(/\\(\d{3})|\\(.)|([^\\])/gs);
  for (const [token, decimal, escaped, plain] of tokens) {
    if (token === ".") labels.push([]);
    else labels.at(-1)!.push(decimal ? Number(decimal) : (escaped ?? plain)!.charCodeAt(0));
  }
  return labels;
}

/**
 * The name at `offset`, followed through compression, without a final dot (the root is "."), and where the octets
 * after it begin. A pointer must lead backwards, "to a prior occurrence" (RFC 1035 §4.1.4), so the walk must end.
 */
export function readName(bytes: Uint8Array, offset: number): { name: string; end: number } {
  const labels: string[] = [];
  let at = offset;
  let before = offset;
  let end: number | undefined;
  let length = 1;
  for (;;) {
    const size = octetAt(bytes, at);
    if (size === 0) break;
    if (size >= 0xc0) {
      end ??= at + 2;
      at = (size & 0x3f) << 8 | octetAt(bytes, at + 1);
      if (at >= before) {
        throw new RangeError(`The compression pointer to octet ${at} does not lead backwards`);
      }
      before = at;
      continue;
    }
    if (size > 63) throw new RangeError(`Octet ${at} is neither a length nor a pointer: ${size}`);
    length += size + 1;
    if (length > 255) throw new RangeError("A name has at most 255 octets");
    if (at + 1 + size > bytes.length) throw new RangeError("The message ends within a label");
    labels.push(presentation(bytes.subarray(at + 1, at + 1 + size)));
    at += 1 + size;
  }
  return { name: labels.length === 0 ? "." : labels.join("."), end: end ?? at + 1 };
}

function octetAt(bytes: Uint8Array, at: number): number {
  const octet = bytes[at];
  if (octet === undefined) throw new RangeError("The message ends within a name");
  return octet;
}

function presentation(label: Uint8Array): string {
  return Array.from(label, (octet) => {
    const character = String.fromCharCode(octet);
    if (octet < 0x21 || octet > 0x7e) return `\\${String(octet).padStart(3, "0")}`;
    return /[.\\"();@$]/.test(character) ? `\\${character}` : character;
  }).join("");
}

/** Names as people write them (RFC 1035 §5.1), with or without the final dot, to their octets in lower case. */
import { lowerCase } from "./name.ts";

/** Throws a `TypeError` that says what is wrong with the text. */
export function parseName(text: string): Uint8Array {
  const octets: number[] = [];
  for (const label of labels(text)) {
    if (label.length === 0 || label.length > 63) {
      throw new TypeError(`"${text}" has a label of ${label.length} octets; it takes 1 to 63`);
    }
    octets.push(label.length, ...label);
  }
  if (octets.length > 254) throw new TypeError(`"${text}" is longer than the 255 octets of a name`);
  return Uint8Array.of(...octets, 0);
}

function labels(text: string): number[][] {
  if (text === "" || text === ".") return [];
  const found: number[][] = [[]];
  for (const [token, decimal, escaped] of text.matchAll(/\\(\d{3})|\\(.)|[^]/g)) {
    if (token === "\\" || escaped !== undefined && escaped >= "0" && escaped <= "9") {
      throw new TypeError(
        `"${text}" has a backslash without an octet's three digits, or a character, behind it`,
      );
    }
    if (token === ".") found.push([]);
    else found.at(-1)!.push(octet(text, decimal, escaped ?? token));
  }
  if (found.at(-1)!.length === 0) found.pop();
  return found;
}

function octet(text: string, decimal: string | undefined, character: string): number {
  const code = decimal === undefined ? character.charCodeAt(0) : Number(decimal);
  if (code > 255) {
    throw new TypeError(`"${text}" has a character beyond one octet; write names in their xn-- form`);
  }
  return lowerCase(code);
}

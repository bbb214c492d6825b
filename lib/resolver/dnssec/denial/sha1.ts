/**
 * SHA-1 (RFC 3174) for NSEC3 owner names. An NSEC3 chain of hashes works on inputs of 20 to 510 bytes: the call into the
 * platform's crypto takes longer than the hash itself.
 */

const words = new Int32Array(80);
/** The padded input: the longest is a name of 255 bytes and a salt of 255. */
const scratch = new Uint8Array(576);
const scratchView = new DataView(scratch.buffer);

/** The SHA-1 digest of `data`, 20 bytes. Precondition: at most 510 bytes. */
export function sha1(data: Uint8Array): Uint8Array {
  const length = (data.length + 8 >> 6) + 1 << 6;
  scratch.fill(0, data.length, length);
  scratch.set(data);
  scratch[data.length] = 0x80;
  scratchView.setUint32(length - 4, data.length << 3);
  let h0 = 0x67452301;
  let h1 = 0xefcdab89 | 0;
  let h2 = 0x98badcfe | 0;
  let h3 = 0x10325476;
  let h4 = 0xc3d2e1f0 | 0;
  for (let block = 0; block < length; block += 64) {
    for (let i = 0; i < 16; i++) words[i] = scratchView.getInt32(block + 4 * i);
    for (let i = 16; i < 80; i++) {
      const word = words[i - 3]! ^ words[i - 8]! ^ words[i - 14]! ^ words[i - 16]!;
      words[i] = word << 1 | word >>> 31;
    }
    let a = h0;
    let b = h1;
    let c = h2;
    let d = h3;
    let e = h4;
    for (let i = 0; i < 80; i++) {
      let mixed: number;
      if (i < 20) mixed = (b & c | ~b & d) + 0x5a827999;
      else if (i < 40) mixed = (b ^ c ^ d) + 0x6ed9eba1;
      else if (i < 60) mixed = (b & c | b & d | c & d) + 0x8f1bbcdc;
      else mixed = (b ^ c ^ d) + 0xca62c1d6;
      const next = (a << 5 | a >>> 27) + mixed + e + words[i]! | 0;
      e = d;
      d = c;
      c = b << 30 | b >>> 2;
      b = a;
      a = next;
    }
    h0 = h0 + a | 0;
    h1 = h1 + b | 0;
    h2 = h2 + c | 0;
    h3 = h3 + d | 0;
    h4 = h4 + e | 0;
  }
  const digest = new Uint8Array(20);
  writeWord(digest, 0, h0);
  writeWord(digest, 4, h1);
  writeWord(digest, 8, h2);
  writeWord(digest, 12, h3);
  writeWord(digest, 16, h4);
  return digest;
}

function writeWord(into: Uint8Array, at: number, word: number): void {
  into[at] = word >>> 24;
  into[at + 1] = word >>> 16;
  into[at + 2] = word >>> 8;
  into[at + 3] = word;
}

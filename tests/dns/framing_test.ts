import fc from "fast-check";
import { FrameReader, FrameSplitter } from "../../lib/dns/framing.ts";
import { assert, assertEquals } from "../support/assert.ts";
import { frame } from "../support/packets/frames.ts";
import { hex } from "../support/packets/packets.ts";

Deno.test("a message is taken once its last octet is there, and not before", () => {
  const frames = new FrameReader(64);
  const stream = hex("0003 010203");
  for (const octet of stream) {
    assertEquals(frames.take(), undefined);
    frames.space()[0] = octet;
    frames.advance(1);
  }
  assertEquals(frames.take(), hex("010203"));
  assertEquals(frames.take(), undefined);
});

Deno.test("several messages that came together are taken one by one, in order", () => {
  const frames = new FrameReader(64);
  feed(frames, hex("0001 aa  0000  0002 bbbb  0001"));
  assertEquals(takeAll(frames), [hex("aa"), hex(""), hex("bbbb")]);
  feed(frames, hex("cc"));
  assertEquals(takeAll(frames), [hex("cc")]);
});

Deno.test("a message of 65,535 octets gets through a buffer of 512", () => {
  const message = new Uint8Array(65_535).map((_, i) => i * 7);
  const frames = new FrameReader(512);
  const taken = stream(frames, frame(message, message, Uint8Array.of(1)), 1400);
  assertEquals(taken, [message, message, Uint8Array.of(1)]);
});

Deno.test("a client that has sent a large message keeps no large buffer when it is idle", () => {
  const frames = new FrameReader(512);
  stream(frames, frame(new Uint8Array(65_535)), 1400);
  assertEquals(frames.space().buffer.byteLength, 512);
});

Deno.test("a length prefix alone costs no memory: buffers grow with received bytes", () => {
  const frames = new FrameReader(512);
  feed(frames, hex("ffff"));
  for (let come = 2; come < 60_000;) {
    const space = frames.space();
    assert(space.length <= Math.max(512, come), `room for ${space.length} octets after ${come} have come`);
    frames.advance(space.length);
    come += space.length;
  }
});

Deno.test("7766-8: messages split at any places are put together again, whatever the buffer's size", () => {
  const messages = fc.array(
    fc.oneof(
      { weight: 8, arbitrary: fc.uint8Array({ maxLength: 40 }) },
      { weight: 1, arbitrary: fc.uint8Array({ minLength: 500, maxLength: 1500, size: "max" }) },
    ),
    { maxLength: 12 },
  );
  const pieces = fc.array(fc.integer({ min: 1, max: 300 }), { minLength: 1, maxLength: 20 });
  fc.assert(
    fc.property(messages, pieces, fc.integer({ min: 1, max: 400 }), (messages, pieces, size) => {
      assertEquals(stream(new FrameReader(size), frame(...messages), ...pieces), messages);
    }),
    { seed: 7766, numRuns: 400 },
  );
});

Deno.test("there is always room to read into, and never inside a message that has been taken", () => {
  const frames = new FrameReader(32);
  const taken: { view: Uint8Array; copy: Uint8Array }[] = [];
  for (let round = 0; round < 500; round++) {
    const bytes = frame(new Uint8Array(round % 23).fill(round));
    for (let at = 0; at < bytes.length;) {
      const space = frames.space();
      assert(space.length > 0, "no room");
      space.fill(0xee); // A reader may write to all of its room, whatever count it returns.
      const piece = bytes.subarray(at, at + Math.min(space.length, 1 + round % 5));
      space.set(piece);
      frames.advance(piece.length);
      at += piece.length;
    }
    const view = frames.take()!;
    taken.push({ view, copy: view.slice() });
  }
  for (const { view, copy } of taken) assertEquals(view, copy);
  assertEquals(taken.map(({ view }) => view.length), Array.from(taken, (_, round) => round % 23));
});

Deno.test("7766-8: pieces of any sizes are taken apart into the same messages, which nothing overwrites", () => {
  const message = fc.oneof(
    { weight: 8, arbitrary: fc.uint8Array({ maxLength: 40 }) },
    { weight: 1, arbitrary: fc.uint8Array({ minLength: 500, maxLength: 1500, size: "max" }) },
  );
  const pieces = fc.array(fc.integer({ min: 1, max: 300 }), { minLength: 1, maxLength: 20 });
  fc.assert(
    fc.property(fc.array(message, { maxLength: 12 }), pieces, (messages, pieces) => {
      const bytes = frame(...messages);
      const splitter = new FrameSplitter();
      const taken: Uint8Array[] = [];
      for (let at = 0, i = 0; at < bytes.length; i++) {
        const end = at + pieces[i % pieces.length]!;
        splitter.push(bytes.slice(at, end), (message) => void taken.push(message));
        at = end;
      }
      assertEquals(taken, messages);
    }),
    { seed: 7766, numRuns: 400 },
  );
});

Deno.test("a message that is whole in its piece is not copied", () => {
  const piece = hex("0001 aa 0002 bbbb 0003 cc");
  const taken: Uint8Array[] = [];
  new FrameSplitter().push(piece, (message) => void taken.push(message));
  assertEquals(taken, [hex("aa"), hex("bbbb")]);
  assert(taken.every(({ buffer }) => buffer === piece.buffer));
});

Deno.test("a message of 65,535 octets that comes octet by octet is put together without copying it each time", () => {
  const bytes = frame(new Uint8Array(65_535).map((_, i) => i * 7));
  const splitter = new FrameSplitter();
  const taken: Uint8Array[] = [];
  for (let i = 0; i < bytes.length; i++) {
    splitter.push(bytes.subarray(i, i + 1), (message) => void taken.push(message));
  }
  assertEquals(taken, [bytes.subarray(2)]);
});

/** Feeds the octets in pieces of these sizes, over and over, and takes whatever is complete after each. */
function stream(frames: FrameReader, bytes: Uint8Array, ...pieces: number[]): Uint8Array[] {
  const taken: Uint8Array[] = [];
  let at = 0;
  for (let i = 0; at < bytes.length; i++) {
    const end = Math.min(at + pieces[i % pieces.length]!, bytes.length);
    for (; at < end;) {
      at += feedOnce(frames, bytes.subarray(at, end));
      taken.push(...takeAll(frames));
    }
  }
  return taken;
}

function feed(frames: FrameReader, bytes: Uint8Array): void {
  for (let at = 0; at < bytes.length;) at += feedOnce(frames, bytes.subarray(at));
}

/** As much as there is room for, like a socket's `read`. */
function feedOnce(frames: FrameReader, bytes: Uint8Array): number {
  const space = frames.space();
  const piece = bytes.subarray(0, space.length);
  space.set(piece);
  frames.advance(piece.length);
  assert(piece.length > 0, "no room");
  return piece.length;
}

function takeAll(frames: FrameReader): Uint8Array[] {
  const taken: Uint8Array[] = [];
  for (let message = frames.take(); message; message = frames.take()) taken.push(message);
  return taken;
}

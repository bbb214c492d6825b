import { EventEmitter } from "node:events";
import type { TLSSocket } from "node:tls";
import { TlsChannel } from "../../../lib/upstream/dial/tls_channel.ts";
import { assertEquals } from "../../support/assert.ts";
import { FakeTime } from "../../support/fakes/time.ts";

/** A socket that a peer keeps full. */
class FakeSocket extends EventEmitter {
  isPaused = false;

  getPeerCertificate(): object {
    return { valid_to: "" };
  }

  pause(): void {
    this.isPaused = true;
  }

  resume(): void {
    this.isPaused = false;
  }

  destroy(): void {
    this.emit("close");
  }
}

Deno.test("TlsChannel pauses after 256 KiB and resumes in the next turn of the event loop", async () => {
  using time = new FakeTime();
  const socket = new FakeSocket();
  const channel = new TlsChannel(socket as unknown as TLSSocket, { isAuthenticated: true });
  let received = 0;
  channel.start({ received: (bytes) => void (received += bytes.length), ended: () => {} });
  const chunk = new Uint8Array(64 * 1024);
  for (const isPaused of [false, false, false, true]) {
    socket.emit("data", chunk);
    assertEquals(socket.isPaused, isPaused);
  }
  await time.pass(1);
  assertEquals([socket.isPaused, received], [false, 4 * chunk.length]);
  for (let i = 0; i < 4; i++) socket.emit("data", chunk);
  channel.close();
  assertEquals(time.waiting, 0, "a closed channel leaves no timer");
});

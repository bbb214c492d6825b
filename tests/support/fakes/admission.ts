/** Treatment of a TCP connection by a DoT server before TLS. */
import type { Socket } from "node:net";

/** Says whether the TLS handshake shall begin. If not, the socket is in its hands until the server closes. */
export type Admission = (socket: Socket) => boolean;

export const admitting: Admission = () => true;

/** Reads the ClientHello and never answers it: the stall before the handshake. */
export const ignoring: Admission = (socket) => {
  endWithClient(socket);
  return false;
};

/**
 * Answers the ClientHello with the header of a ServerHello of 122 octets (RFC 8446 §5.1, §4), which never come: the
 * stall in the handshake.
 */
export const stallingInHandshake: Admission = (socket) => {
  endWithClient(socket);
  socket.once("data", () => socket.write(Uint8Array.of(0x16, 3, 3, 0, 0x7e, 2, 0, 0, 0x7a)));
  return false;
};

/** Sends FIN at once. */
export const closing: Admission = (socket) => {
  socket.resume().end();
  return false;
};

/** Sends RST at once. */
export const resetting: Admission = (socket) => {
  socket.resetAndDestroy();
  return false;
};

/** Answers the ClientHello with octets that are not TLS, as a web server does. */
export const answeringInClear: Admission = (socket) => {
  endWithClient(socket);
  socket.once("data", () => socket.write("HTTP/1.1 400 Bad Request\r\n\r\n"));
  return false;
};

function endWithClient(socket: Socket): void {
  socket.resume().on("end", () => socket.end());
}

/** The query that follows an alias for a client, because stub resolvers do not (RFC 1034 §5.2.2). */

import { HEADER_BYTES, HeaderField } from "../header.ts";
import { writeUint16 } from "../bytes.ts";
import { composeOptRecord, DNSSEC_OK } from "../edns.ts";
import { Message } from "../message.ts";

/** The query for another name: same ID, flags, type, class and DO. `name` must be uncompressed. */
export function composeAliasQuery(name: Uint8Array, { bytes, questionEnd, edns }: Message): Message {
  const opt = edns ? composeOptRecord(0, []) : new Uint8Array(0);
  if (edns?.dnssecOk) writeUint16(opt, 7, DNSSEC_OK);
  const end = HEADER_BYTES + name.length + 4;
  const question = new Uint8Array(end + opt.length);
  question.set(bytes.subarray(0, HeaderField.QUESTIONS));
  writeUint16(question, HeaderField.QUESTIONS, 1);
  writeUint16(question, HeaderField.ADDITIONAL, edns ? 1 : 0);
  question.set(name, HEADER_BYTES);
  question.set(bytes.subarray(questionEnd - 4, questionEnd), end - 4);
  question.set(opt, end);
  return Message.parse(question);
}

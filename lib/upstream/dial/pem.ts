/** Reads PEM text (RFC 7468), which may have comments and other blocks between the certificates. */

/** The certificates in PEM text, each with its BEGIN and END lines. Throws an `Error` with words for the operator. */
export function splitCertificates(text: string): string[] {
  const blocks = text.match(/-----BEGIN CERTIFICATE-----[^-]*-----END CERTIFICATE-----/g) ?? [];
  const markers = text.match(/-----(BEGIN|END) CERTIFICATE-----/g) ?? [];
  if (markers.length === 0) {
    throw new Error("holds no PEM certificate, which starts with -----BEGIN CERTIFICATE-----");
  }
  if (markers.length !== 2 * blocks.length) {
    throw new Error(`is cut off: certificate ${blocks.length + 1} has no end; put the whole file there`);
  }
  return blocks;
}

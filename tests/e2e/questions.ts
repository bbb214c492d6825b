/** One question for everything that the zones of the rig hold. */
export const QUESTIONS: readonly (readonly [what: string, name: string, type: string])[] = [
  ["two addresses", "www.example.test", "A"],
  ["an IPv6 address", "www.example.test", "AAAA"],
  ["a chain of three CNAMEs", "alias1.example.test", "AAAA"],
  ["a CNAME itself", "alias1.example.test", "CNAME"],
  ["a CNAME that leads nowhere", "dangling.example.test", "A"],
  ["mail exchangers", "example.test", "MX"],
  ["a zone's SOA", "example.test", "SOA"],
  ["name servers", "example.test", "NS"],
  ["a short text", "example.test", "TXT"],
  ["a text with quotes, backslashes and octets beyond ASCII", "txt.example.test", "TXT"],
  ["a text of 4 KB", "big.example.test", "TXT"],
  ["120 addresses", "many.example.test", "A"],
  ["a service", "_dot._tcp.example.test", "SRV"],
  ["an HTTPS record", "svc.example.test", "HTTPS"],
  ["a CAA record", "example.test", "CAA"],
  ["an unknown type", "unknown.example.test", "TYPE65280"],
  ["an unknown type without data", "unknown.example.test", "TYPE65281"],
  ["a label with a dot in it", "dotted\\.label.example.test", "A"],
  ["a short TTL", "short.example.test", "A"],
  ["the longest TTL", "forever.example.test", "A"],
  ["a wildcard", "anything.at.all.wild.example.test", "TXT"],
  ["a name that does not exist", "nope.example.test", "A"],
  ["a type that does not exist", "www.example.test", "MX"],
  ["an empty non-terminal", "empty.example.test", "A"],
  ["a signed name", "www.signed.test", "A"],
  ["a name that does not exist, signed", "nope.signed.test", "A"],
];

/** Signed answers of every shape: data, an alias, a wildcard, NODATA, NXDOMAIN, the keys. */
export const SIGNED_QUESTIONS: readonly (readonly [what: string, name: string, type: string])[] = [
  ["data", "www.signed.test", "AAAA"],
  ["an alias", "alias.signed.test", "A"],
  ["a wildcard", "x.wild.signed.test", "A"],
  ["no data", "www.signed.test", "MX"],
  ["no name", "nope.signed.test", "A"],
  ["the keys", "signed.test", "DNSKEY"],
];

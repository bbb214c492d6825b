/** The formats of block lists: hosts files, lists of domains, and rules of ad blockers for whole domains. */

import { lowerCase } from "../../dns/name.ts";

/** The rule of a line for its names. */
export interface ListRule {
  /** Whether the rule includes all names below. */
  readonly withBelow: boolean;
  /** Whether the rule allows the names instead of blocking them. */
  readonly allows: boolean;
}

const HOST: ListRule = { withBelow: false, allows: false };
const DOMAIN: ListRule = { withBelow: true, allows: false };
const EXCEPTION: ListRule = { withBelow: true, allows: true };

const [HASH, BANG, BRACKET, PIPE, AT, CARET, STAR, DOT, COLON] = [
  0x23,
  0x21,
  0x5b,
  0x7c,
  0x40,
  0x5e,
  0x2a,
  0x2e,
  0x3a,
];
const IMPORTANT = new TextEncoder().encode("$important");
/** Returned when reading beyond the end of the line. */
const END_OF_LINE = 0;

/**
 * Parses one line at a time, byte by byte and without strings, because lists have millions of lines. Formats: hosts files
 * (`0.0.0.0 name …`), whose names stand alone; domains (`name`, `*.name`); rules of ad blockers for whole domains
 * (`||name^`, `@@||name^`). The last two include all names below. Other lines are ignored: no line is an error.
 */
export class ListParser {
  /** The current name during a call of `visit`, in wire format and lower case. */
  readonly name = new Uint8Array(256);
  #bytes: Uint8Array = this.name;
  #at = 0;
  #end = 0;

  /**
   * Parses the line from `start` to `end` and calls `visit` for each of its names. Returns whether the whole line was
   * understood, which includes comments and empty lines.
   */
  parse(bytes: Uint8Array, start: number, end: number, visit: (rule: ListRule) => void): boolean {
    this.#bytes = bytes;
    this.#at = start;
    this.#end = end;
    this.#trim();
    const first = this.#byte(0);
    // In lists for ad blockers, "!" starts a comment and "[" the first line.
    if (first === END_OF_LINE || first === BANG || first === BRACKET) return true;
    if (first === PIPE) return this.#skip(PIPE, PIPE) && this.#readRule(DOMAIN, visit);
    if (first === AT) return this.#skip(AT, AT, PIPE, PIPE) && this.#readRule(EXCEPTION, visit);
    return this.#skipAddress() ? this.#readHosts(visit) : this.#readDomain(visit);
  }

  /** Removes blanks and the comment. A comment follows a blank: `name##.banner` is a rule for the content of pages. */
  #trim(): void {
    this.#skipBlanks();
    for (let at = this.#at; at < this.#end; at++) {
      if (this.#bytes[at] !== HASH || at > this.#at && !isBlank(this.#bytes[at - 1]!)) continue;
      this.#end = at;
    }
    while (this.#end > this.#at && isBlank(this.#bytes[this.#end - 1]!)) this.#end--;
  }

  #readHosts(visit: (rule: ListRule) => void): boolean {
    let isUnderstood = true;
    while (this.#at < this.#end) {
      const isName = this.#readName() && (this.#at === this.#end || isBlank(this.#byte(0)));
      if (isName) visit(HOST);
      isUnderstood &&= isName;
      while (this.#at < this.#end && !isBlank(this.#byte(0))) this.#at++;
      this.#skipBlanks();
    }
    return isUnderstood;
  }

  #readDomain(visit: (rule: ListRule) => void): boolean {
    this.#skip(STAR, DOT);
    if (!this.#readName() || this.#at < this.#end) return false;
    visit(DOMAIN);
    return true;
  }

  /** Accepts rules that end in `^`. Others are rules for URLs, or have modifiers that cannot be checked by name. */
  #readRule(rule: ListRule, visit: (rule: ListRule) => void): boolean {
    this.#skip(STAR, DOT);
    if (!this.#readName() || !this.#skip(CARET)) return false;
    this.#skip(PIPE);
    if (this.#byte(0) === IMPORTANT[0]) this.#skip(...IMPORTANT);
    if (this.#at < this.#end) return false;
    visit(rule);
    return true;
  }

  /** Reads a name up to the first byte that names cannot have. Returns false if it ends in a number, as addresses do. */
  #readName(): boolean {
    const { name } = this;
    let label = 0;
    let to = 1;
    let isNumber = true;
    for (;; this.#at++) {
      const byte = lowerCase(this.#byte(0));
      if (isNameByte(byte)) {
        if (to - label > 63 || to > 253) return false;
        name[to++] = byte;
        isNumber &&= isDigit(byte);
        continue;
      }
      if (to === label + 1) return false; // an empty label
      name[label] = to - label - 1;
      if (byte !== DOT) break;
      if (!isNameByte(lowerCase(this.#byte(1)))) {
        this.#at++; // the final dot
        break;
      }
      label = to++;
      isNumber = true;
    }
    name[to] = 0;
    return !isNumber;
  }

  /** Skips an address and the blanks after it. Returns whether there was one. */
  #skipAddress(): boolean {
    let at = this.#at;
    let colons = 0;
    let dots = 0;
    let others = 0;
    for (; at < this.#end && !isBlank(this.#bytes[at]!); at++) {
      const byte = this.#bytes[at]!;
      if (byte === COLON) colons++;
      else if (byte === DOT) dots++;
      else if (!isDigit(byte)) others++;
    }
    // Names have no colon.
    const isAddress = colons > 0 || dots === 3 && others === 0;
    if (!isAddress || at === this.#end) return false;
    this.#at = at;
    this.#skipBlanks();
    return true;
  }

  #skip(...wanted: number[]): boolean {
    for (let i = 0; i < wanted.length; i++) if (this.#byte(i) !== wanted[i]) return false;
    this.#at += wanted.length;
    return true;
  }

  #skipBlanks(): void {
    while (this.#at < this.#end && isBlank(this.#bytes[this.#at]!)) this.#at++;
  }

  #byte(ahead: number): number {
    const at = this.#at + ahead;
    return at < this.#end ? this.#bytes[at]! : END_OF_LINE;
  }
}

function isBlank(byte: number): boolean {
  return byte === 0x20 || byte === 0x09 || byte === 0x0d;
}

function isDigit(byte: number): boolean {
  return byte >= 0x30 && byte <= 0x39;
}

/** Lower-case letters, digits, "-" and "_". Lists write other characters of names as xn--. */
function isNameByte(byte: number): boolean {
  return byte >= 0x61 && byte <= 0x7a || isDigit(byte) || byte === 0x2d || byte === 0x5f;
}

/** After each so many bad answers in a row a connection is asked whether it is of any use … */
const BAD_BEFORE_PROBE = 8;
/** … and with so many, its use is over. */
const MAX_BAD = 32;
/** So many messages that answer nothing, beyond one for each useful answer, are a flood. */
const MAX_UNSOLICITED = 100;

/** How an upstream behaves on one connection: counts of what answers no query as it should. */
export class AnswerQuality {
  /** How many useful answers there were. */
  answered = 0;
  #badInARow = 0;
  #unreadable = 0;
  #unsolicited = 0;

  /** A useful answer has come, to a query or too late for one. */
  noteUseful(): void {
    this.#badInARow = 0;
    if (this.#unsolicited > 0) this.#unsolicited--;
  }

  /** A bad answer has come. A connection that has been of no use yet is "useless" with the first. */
  noteBad(): "tolerable" | "worth a probe" | "useless" {
    this.#badInARow++;
    if (this.answered === 0 || this.#badInARow >= MAX_BAD) return "useless";
    return this.#badInARow % BAD_BEFORE_PROBE === 0 ? "worth a probe" : "tolerable";
  }

  /** A message has come that belongs to no query. Whether that is one too many. */
  noteUnsolicited(): boolean {
    return ++this.#unsolicited > MAX_UNSOLICITED;
  }

  /** A message has come that shows no query's ID. Whether there are as many as queries wait: each has had its answer. */
  noteUnreadable(waiting: number): boolean {
    if (++this.#unreadable < waiting) return false;
    this.#unreadable = 0;
    return true;
  }
}

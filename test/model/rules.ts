/**
 * The durations of the protocol in ticks. The model needs their order, not their size, so most
 * configurations use a short scale in which every sum that matters compares as it does in seconds.
 */
export interface Ticks {
  /** A request is sent at most this long after begin, ... */
  readonly sendWithin: number;
  /** ... the client gives up this long after sending, ... */
  readonly flight: number;
  /** ... and WeChat may execute it this long after that. */
  readonly late: number;
  readonly settle: number;
  readonly quarantine: number;
  readonly lease: number;
  readonly intent: number;
}

/** Orders as in seconds: 2, 8, 10, 10, 25, 20, 60. */
export const SHORT_SCALE: Ticks = {
  sendWithin: 1,
  flight: 2,
  late: 2,
  settle: 2,
  quarantine: 6,
  lease: 5,
  intent: 11,
};

/** One tick is two seconds; 25 s of quarantine are rounded down. */
export const TWO_SECOND_SCALE: Ticks = {
  sendWithin: 1,
  flight: 4,
  late: 5,
  settle: 5,
  quarantine: 12,
  lease: 10,
  intent: 30,
};

/** Every rule of the protocol as a switch, so that a mutation is one switch turned. */
export interface Rules {
  readonly ticks: Ticks;
  readonly lock: boolean;
  readonly doubleCheck: boolean;
  readonly intervalRule: boolean;
  readonly suspectOnOverlap: boolean;
  readonly suspectOnLostAnswer: boolean;
  readonly clearOnlyOlderDoubt: boolean;
  readonly intents: boolean;
  /** An intent stands until it expires, not only while its lease lasts. */
  readonly intentsWait: boolean;
  readonly abortLateSend: boolean;
  readonly compareBeforeUnlock: boolean;
  readonly idempotentCommit: boolean;
  readonly epochCheck: boolean;
  readonly suspectOnEpochChange: boolean;
  readonly quarantine: boolean;
  readonly settleWait: boolean;
  readonly settleAfterOverlap: boolean;
  /** Not a rule but a mistake to try: a commit writes the current replication id into the record. */
  readonly commitNotesEpoch: boolean;
}

export const ALL_RULES: Rules = {
  ticks: SHORT_SCALE,
  lock: true,
  doubleCheck: true,
  intervalRule: true,
  suspectOnOverlap: true,
  suspectOnLostAnswer: true,
  clearOnlyOlderDoubt: true,
  intents: true,
  intentsWait: true,
  abortLateSend: true,
  compareBeforeUnlock: true,
  idempotentCommit: true,
  epochCheck: true,
  suspectOnEpochChange: true,
  quarantine: true,
  settleWait: true,
  settleAfterOverlap: true,
  commitNotesEpoch: false,
};

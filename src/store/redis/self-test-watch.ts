import type { Clock } from '../../lib/clock.ts';
import type { Log } from '../../lib/log.ts';
import { healthOf, type Refusal } from './health.ts';
import { explainWord } from './error-words.ts';
import { checkEncryptionKeys, encryptionProblem } from './encryption-keys.ts';
import { testStore, type SelfTest } from './self-test.ts';
import type { Store } from './store.ts';

/** Tries Redis out from time to time, and says what has changed. */
export interface SelfTestWatch {
  /** Redis is there again. */
  now(): void;
  /** In each maintenance round: again when ten minutes have passed, or when the last time showed trouble. */
  onRound(): Promise<void>;
  /** What was found then, and what Redis has refused to the service since. */
  last(): SelfTest | undefined;
  idle(): Promise<void>;
}

/** Milliseconds between two tries while all is well: what is refused to the service asks for one at once. */
const EVERY_MS = 600_000;
/** Milliseconds: nobody asks when another process begins to seal with another key. */
const SEAL_KEYS_MS = 60_000;

/** @param subjects appids of the configured components and accounts */
export function createSelfTestWatch(
  store: Store,
  log: Log,
  clock: Clock,
  subjects: readonly string[] = [],
): SelfTestWatch {
  const health = healthOf(store.redis);
  let last: SelfTest | undefined;
  let testedAt = -Infinity;
  let comparedAt = -Infinity;
  let running: Promise<void> | undefined;
  let again = false;

  async function tryOut(): Promise<void> {
    testedAt = clock.monotonic();
    await unlessAway(log, async () => {
      const result = await testStore(store, subjects);
      if (result.refuses === undefined) health?.forgetPassing();
      const known = withServed(result, health?.refusals() ?? []);
      report(log, last, known);
      last = known;
      await compareSealKeys();
    });
  }
  async function compareSealKeys(): Promise<void> {
    comparedAt = clock.monotonic();
    await checkEncryptionKeys(store, log);
  }
  function now(): Promise<void> {
    if (running !== undefined) {
      again = true;
      return running;
    }
    running = (async () => {
      do {
        again = false;
        await tryOut();
      } while (wantsAnother());
      running = undefined;
    })();
    return running;
  }
  // A function, because it changes while a try is awaited.
  const wantsAnother = () => again;
  if (health !== undefined) {
    // What a try itself has provoked is no reason for another one.
    health.onNews = () => {
      if (running === undefined) void now();
    };
  }
  return {
    now: () => void now(),
    async onRound() {
      const trouble =
        last === undefined || isTrouble(last) || encryptionProblem(store) !== undefined;
      const since = (moment: number) => clock.monotonic() - moment;
      if (trouble || since(testedAt) >= EVERY_MS) await now();
      else if (since(comparedAt) >= SEAL_KEYS_MS) await unlessAway(log, compareSealKeys);
    },
    last: () => last,
    idle: async () => running,
  };
}

async function unlessAway(log: Log, work: () => Promise<void>): Promise<void> {
  try {
    await work();
  } catch (error) {
    log.debug('Redis went away while it was tried out', { error });
  }
}

/** With what the self-test has not met itself: it has other keys. */
function withServed(result: SelfTest, refusals: readonly Refusal[]): SelfTest {
  const served = refusals.filter(
    ({ operation, word }) =>
      // The types of keys are looked at, and some are put right in the next maintenance round.
      word !== 'WRONGTYPE' &&
      word !== result.refuses &&
      !(word === 'NOPERM' && result.forbidden.length > 0) &&
      !result.refused.some((one) => one.operation === operation || one.word === word),
  );
  return { ...result, refused: [...result.refused, ...served] };
}

function isTrouble({
  forbidden,
  evicts,
  hidesFailovers,
  refuses,
  refused,
  spoiled,
}: SelfTest): boolean {
  const lists = [forbidden, refused, spoiled];
  return evicts || hidesFailovers || refuses !== undefined || lists.some((list) => list.length > 0);
}

/** Says once what a person must change, and once that it is well again. */
function report(log: Log, before: SelfTest | undefined, found: SelfTest): void {
  const { forbidden, evicts, hidesFailovers, refuses, servers } = found;
  const where = servers.length === 0 ? {} : { servers };
  if (forbidden.length > 0 && forbidden.join() !== before?.forbidden.join()) {
    log.error('Redis forbids commands that wxkeeper needs; change the ACL of its user', {
      forbidden,
      ...where,
    });
  }
  if (evicts && before?.evicts !== true) {
    log.error(
      'Redis may evict any key when its memory is full, refresh tokens among them: set ' +
        'maxmemory-policy noeviction',
      where,
    );
  }
  if (hidesFailovers && before?.hidesFailovers !== true) {
    log.error(
      'Redis hides its replication id from scripts, so a failover that loses writes is not noticed: ' +
        'take a standard instance, or the direct addresses of a cluster',
      where,
    );
  }
  if (refuses !== undefined && refuses !== before?.refuses) {
    log.error('Redis takes nothing any more: look at its memory, its disk and its role', {
      problem: refuses,
      ...where,
      advice: explainWord(refuses)?.remedy.en,
    });
  }
  reportRefused(log, before, found);
  if (!isTrouble(found) && before !== undefined && isTrouble(before)) {
    log.info('Redis takes everything again');
  }
}

function reportRefused(
  log: Log,
  before: SelfTest | undefined,
  { refused, spoiled, version }: SelfTest,
): void {
  const names = (of: SelfTest['refused'] = []) =>
    of.map(({ operation, word }) => `${operation} ${word}`).join();
  const [first] = refused;
  if (first !== undefined && names(refused) !== names(before?.refused)) {
    log.error('Redis refuses what wxkeeper needs', {
      refused: refused.map(({ operation }) => operation),
      redis_says: first.words,
      ...(first.key !== undefined && { key: first.key }),
      redis_version: version,
      advice: explainWord(first.word)?.remedy.en,
    });
  }
  for (const { key, holds, belongs } of spoiled) {
    if (before?.spoiled.some((one) => one.key === key)) continue;
    log.error('a key of ours holds something else; look at it, and rename or delete it', {
      key,
      holds,
      belongs,
      problem: 'WRONGTYPE',
    });
  }
}

import type { Clock } from './clock.ts';

/** What is done for one key. A run that fails is not repeated by itself. */
interface Work<Key extends string> {
  run: (key: Key) => Promise<void>;
  /** Called with what a run has thrown. */
  onFailure: (key: Key, error: unknown) => void;
}

/**
 * At most one run per key at a time in this process, once more if there is news meanwhile, and later by the
 * injected clock. Locks elsewhere serve other processes.
 */
export class KeyedWorker<Key extends string = string> {
  readonly #clock: Clock;
  readonly #work: Work<Key>;
  readonly #running = new Map<Key, Promise<void>>();
  /** Keys of which there is news that the run under way may have come too early for. */
  readonly #again = new Set<Key>();
  /** Cancels the planned run of a key. */
  readonly #planned = new Map<Key, () => void>();
  #stopping = false;

  constructor(clock: Clock, work: Work<Key>) {
    this.#clock = clock;
    this.#work = work;
  }

  get stopping(): boolean {
    return this.#stopping;
  }

  /**
   * Runs now, or joins the run under way. Never rejects.
   * @param news a run that began before it does not count: unless that one fails, there is another one,
   *   which is waited for, too
   */
  request(key: Key, news = false): Promise<void> {
    if (this.#stopping) return Promise.resolve();
    const running = this.#running.get(key);
    if (running !== undefined) {
      if (news) this.#again.add(key);
      return running;
    }
    const run = this.#runAll(key);
    this.#running.set(key, run);
    return run;
  }

  isRunning(key: Key): boolean {
    return this.#running.has(key);
  }

  /** Whether the run under way will be followed by another one. */
  hasNews(key: Key): boolean {
    return this.#again.has(key);
  }

  /**
   * @param delayMs replaces what was planned for this key; undefined plans nothing
   * @param news as of `request`, for a moment that falls into a run
   */
  runAt(key: Key, delayMs: number | undefined, news = false): void {
    this.#planned.get(key)?.();
    this.#planned.delete(key);
    if (this.#stopping || delayMs === undefined) return;
    const cancel = this.#clock.setTimer(delayMs, () => {
      this.#planned.delete(key);
      void this.request(key, news);
    });
    this.#planned.set(key, cancel);
  }

  /** Resolves when nothing is running; what is planned does not count. */
  async idle(): Promise<void> {
    while (this.#running.size > 0) await Promise.allSettled(this.#running.values());
  }

  /** No further runs; resolves when those under way have ended. */
  async stop(): Promise<void> {
    this.#stopping = true;
    for (const cancel of this.#planned.values()) cancel();
    this.#planned.clear();
    await this.idle();
  }

  async #runAll(key: Key): Promise<void> {
    // What it throws at once must not come before the caller has noted that it runs.
    const run = async () => this.#work.run(key);
    try {
      do {
        this.#again.delete(key);
        await run();
      } while (this.#again.has(key) && !this.#stopping);
    } catch (error) {
      this.#work.onFailure(key, error);
    } finally {
      // In the same moment as the decision, or news in between would be lost.
      this.#running.delete(key);
    }
  }
}

import { configuredIds, type Catalog } from '../credentials/catalog.ts';
import type { Layout } from '../config/layouts.ts';
import type { RedisSettings } from '../config/redis.ts';
import type { Log } from '../lib/log.ts';
import { authorizersAfter } from '../store/authorizers/profile.ts';
import { authorizerToken } from '../store/authorizers/authorization.ts';
import type { CredentialRecord } from '../store/credentials/record.ts';
import { connectForLayouts, type LayoutConnection } from '../store/layouts/connect.ts';
import { noteLayout, noteLayoutBack, noteLayoutFailure } from '../store/layouts/layout-state.ts';
import { markOf } from '../store/layouts/published.ts';
import type { CredentialId } from '../store/redis/keys.ts';
import type { Store } from '../store/redis/store.ts';
import { keyOf, LayoutError, syncMany, type SyncContext, type Synced } from './sync.ts';
import {
  covers,
  createTarget,
  keysFor,
  namedAuthorizers,
  type Configured,
  type LayoutTarget,
} from './target.ts';

/**
 * Keeps the keys of all layouts as they should be: whenever a credential is seen that is not published yet,
 * which is before any answer with it leaves, and in each maintenance round, for keys that were deleted,
 * overwritten, or could not be written.
 */
export interface Layouts {
  /**
   * Resolves when this credential stands in every layout, or cannot be written there just now. Never rejects.
   * @param record as it was read; without it, it is looked at in any case
   */
  publish: (id: CredentialId, record?: CredentialRecord) => Promise<void>;
  /** What is named after the ticket follows it. */
  onTicket(component: string): void;
  /** One maintenance round. @throws KeeperError `store_unavailable` */
  keep(): Promise<void>;
  idle(): Promise<void>;
  stop(): Promise<void>;
}

export interface LayoutsOptions extends SyncContext {
  store: Store;
  log: Log;
  layouts: readonly Layout[];
  /** How wxkeeper's own Redis is reached. */
  redis: RedisSettings;
  subjects: Catalog;
}

/** Authorizers that a round looks at, and at once: 100,000 take half an hour, and cost no more. */
const AT_A_ROUND = 1_000;
const AT_ONCE = 250;
/** A value may change while it is published. */
const MOST_TRIES = 3;

interface State extends LayoutsOptions {
  targets: readonly LayoutTarget[];
  connections: readonly LayoutConnection[];
  configured: Configured;
  /** By layout and credential. */
  running: Map<string, Promise<void>>;
  stopped: boolean;
}

/** Undefined when nothing is published. */
export function createLayouts(options: LayoutsOptions): Layouts | undefined {
  const { subjects } = options;
  if (options.layouts.length === 0) return undefined;
  const byAddress = new Map<string, LayoutConnection>();
  let state: State | undefined = undefined as State | undefined;
  const connect = ({ redisUrl = '' }: Layout): LayoutConnection => {
    const settings =
      redisUrl === '' ? options.redis : { url: redisUrl, protocol: options.redis.protocol };
    const known = byAddress.get(redisUrl) ?? connectForLayouts(settings, () => onReady(redisUrl));
    byAddress.set(redisUrl, known);
    return known;
  };
  /** What was missed while it was away need not wait for the round. */
  const onReady = (redisUrl: string) => {
    for (const target of state?.targets ?? []) {
      if ((target.layout.redisUrl ?? '') !== redisUrl || target.failingSince === undefined)
        continue;
      if (state !== undefined) void round(state, target).catch(() => undefined);
    }
  };
  const targets = options.layouts.map((layout) => createTarget(layout, connect(layout)));
  state = {
    ...options,
    targets,
    connections: [...byAddress.values()],
    configured: {
      components: subjects.components.map(({ appid }) => appid),
      accounts: subjects.accounts.map(({ appid }) => appid),
    },
    running: new Map(),
    stopped: false,
  };
  return layoutsOf(state);
}

function layoutsOf(state: State): Layouts {
  const { targets, configured, running } = state;
  return {
    async publish(id, record) {
      const mark = record && markOf(id.kind, record);
      const missing = targets.filter(
        (target) =>
          target.failingSince === undefined &&
          (mark === undefined || target.published.get(keyOf(id)) !== mark) &&
          covers(target, id, configured),
      );
      await Promise.all(missing.map((target) => publishIn(state, target, id, mark)));
    },
    onTicket(component) {
      const id = { kind: 'component_access_token', subject: component } as const;
      for (const target of targets) {
        if (target.layout.ticket === 'placeholder' || !covers(target, id, configured)) continue;
        void publishIn(state, target, id, undefined);
      }
    },
    async keep() {
      await Promise.all(targets.map((target) => round(state, target)));
    },
    async idle() {
      while (running.size > 0) await Promise.allSettled(running.values());
    },
    async stop() {
      state.stopped = true;
      await Promise.allSettled(running.values());
      for (const connection of state.connections) connection.close();
    },
  };
}

function round(state: State, target: LayoutTarget): Promise<void> {
  return track(state, `round:${target.layout.name}`, () => keepOne(state, target));
}

/** Joins what is under way for the same. */
function track(state: State, key: string, work: () => Promise<void>): Promise<void> {
  const { running } = state;
  const known = running.get(key);
  if (known !== undefined) return known;
  if (state.stopped) return Promise.resolve();
  const promise = work().finally(() => running.delete(key));
  running.set(key, promise);
  return promise;
}

/** Never rejects: whoever asked for a credential gets it, whatever becomes of its keys. */
async function publishIn(
  state: State,
  target: LayoutTarget,
  id: CredentialId,
  mark: string | undefined,
): Promise<void> {
  const key = keyOf(id);
  const run = `${target.layout.name}:${key}`;
  const work = async () => {
    await orFailing(state, target, () => sync(state, target, [id])).catch(() => undefined);
  };
  for (let tries = 0; tries < MOST_TRIES; tries += 1) {
    // What is under way may have begun too early for this one.
    const joined = state.running.get(run);
    await (joined ?? track(state, run, work));
    if (target.failingSince !== undefined || state.stopped) return;
    if (mark === undefined ? joined === undefined : target.published.get(key) === mark) return;
  }
}

async function sync(
  state: State,
  target: LayoutTarget,
  ids: readonly CredentialId[],
): Promise<Synced> {
  const done = await syncMany(state, target, ids);
  await note(state, target, done);
  return done;
}

async function note(
  { store }: State,
  { layout }: LayoutTarget,
  { published, restored, overwritten, last }: Synced,
  keys?: number,
): Promise<void> {
  if (published === 0 && keys === undefined) return;
  await noteLayout(store, layout.name, { published, restored, overwritten, last, keys });
}

/**
 * Notes when the Redis of a layout cannot be used, and when it can again.
 * @throws KeeperError `store_unavailable`, when it is wxkeeper's own that is away
 */
async function orFailing<T>(
  state: State,
  target: LayoutTarget,
  work: () => Promise<T>,
): Promise<T | undefined> {
  const { store, log } = state;
  const { layout } = target;
  let result: T;
  try {
    result = await work();
  } catch (error) {
    if (!(error instanceof LayoutError)) throw error;
    const { word, words } = error;
    const since = target.failingSince ?? store.time.now();
    const noted = noteLayoutFailure(store, layout.name, since, words === '' ? word : words);
    // Where wxkeeper's own Redis is away, that is said already.
    if (layout.redisUrl === undefined) await noted;
    else await noted.catch(() => undefined);
    if (target.failingSince === undefined) {
      log.warn('a layout cannot be published', {
        layout: layout.name,
        problem: word,
        redis_says: words,
      });
    }
    target.failingSince = since;
    return undefined;
  }
  if (target.failingSince !== undefined) {
    target.failingSince = undefined;
    log.info('a layout is published again', { layout: layout.name });
    await noteLayoutBack(store, layout.name);
  }
  return result;
}

/** What is configured, and some of the authorizers. @throws KeeperError `store_unavailable` */
async function keepOne(state: State, target: LayoutTarget): Promise<void> {
  await orFailing(state, target, async () => {
    const ids = configuredIds(state.subjects).filter((id) => covers(target, id, state.configured));
    let keys = ids.length === 0 ? 0 : (await sync(state, target, ids)).keys;
    const tour = await keepAuthorizers(state, target);
    keys += tour.keys;
    if (tour.isWhole) await noteLayout(state.store, target.layout.name, { ...NOTHING, keys });
  });
}

const NOTHING = { published: 0, restored: 0, overwritten: 0 };

/** @returns how many keys belong to all of them, once all have been looked at */
async function keepAuthorizers(
  state: State,
  target: LayoutTarget,
): Promise<{ isWhole: boolean; keys: number }> {
  const { configured } = state;
  if (keysFor(target, authorizerToken('', '')).length === 0) return { isWhole: true, keys: 0 };
  let left = AT_A_ROUND;
  while (left > 0 && !state.stopped) {
    const page = await nextPage(state, target, Math.min(AT_ONCE, left));
    if (page === undefined) {
      const keys = target.counted;
      target.counted = 0;
      target.cursor = { component: 0, after: '' };
      return { isWhole: true, keys };
    }
    left -= Math.max(1, page.length);
    const ids = page.filter((id) => covers(target, id, configured));
    if (ids.length > 0) target.counted += (await sync(state, target, ids)).keys;
  }
  return { isWhole: false, keys: 0 };
}

/** @returns undefined when all have been looked at */
async function nextPage(
  { store, configured }: State,
  target: LayoutTarget,
  limit: number,
): Promise<CredentialId[] | undefined> {
  const { cursor, layout } = target;
  const component = configured.components[cursor.component];
  if (component === undefined) return undefined;
  const { appids } = layout;
  const named = appids === 'any' ? [] : namedAuthorizers(appids, configured);
  const all = appids === 'any' || (named.length === 0 && appids.includes(component));
  const page = all
    ? await authorizersAfter(store, component, cursor.after, limit)
    : named
        .filter((one) => one > cursor.after)
        .sort()
        .slice(0, limit);
  const last = page.at(-1);
  target.cursor =
    last === undefined || page.length < limit
      ? { component: cursor.component + 1, after: '' }
      : { component: cursor.component, after: last };
  return page.map((authorizer) => authorizerToken(component, authorizer));
}

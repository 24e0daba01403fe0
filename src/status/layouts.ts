import type { Layout } from '../config/layouts.ts';
import { isoOrNull } from '../lib/time-format.ts';
import { readLayoutState, type LayoutState } from '../store/layouts/layout-state.ts';
import type { Store } from '../store/redis/store.ts';
import { finding, type Finding } from './problems.ts';
import type { LayoutStatus } from './schema.ts';

/** How the layouts fare under which credentials are published for applications, and what is wrong. */

/** What the status needs to know of a layout: no secret. */
export type ShownLayout = Pick<Layout, 'name' | 'preset' | 'appids'> & { elsewhere: boolean };

export function shownLayouts(layouts: readonly Layout[]): ShownLayout[] {
  return layouts.map(({ name, preset, appids, redisUrl }) => {
    return { name, preset, appids, elsewhere: redisUrl !== undefined };
  });
}

/** Milliseconds after a failure in which it still counts: three rounds of a replica. */
const FAILING_FOR_MS = 60_000;
/** Milliseconds for which it is told that a key was overwritten. */
const OVERWRITTEN_FOR_MS = 3_600_000;

/**
 * @param appids whose problems may be told
 * @throws KeeperError `store_unavailable`
 */
export async function describeLayouts(
  store: Store,
  layouts: readonly ShownLayout[],
  appids: readonly string[],
): Promise<{ layouts: LayoutStatus[]; findings: Finding[] }> {
  const all = await Promise.all(
    layouts.map(async (layout) => {
      const state = await readLayoutState(store, layout.name);
      const now = store.time.now();
      return { status: describe(layout, state, now), findings: findingsOf(layout, state, now) };
    }),
  );
  const mayBeTold = ({ subject }: Finding) => subject === null || appids.includes(subject);
  return {
    layouts: all.map(({ status }) => status),
    findings: all.flatMap(({ findings }) => findings.filter(mayBeTold)),
  };
}

function isFailing({ failedAt }: LayoutState, now: number): boolean {
  return failedAt !== undefined && now - failedAt < FAILING_FOR_MS;
}

function describe(layout: ShownLayout, state: LayoutState, now: number): LayoutStatus {
  const { keys, restored, overwritten, failures } = state;
  const failing = isFailing(state, now);
  return {
    name: layout.name,
    preset: layout.preset,
    elsewhere: layout.elsewhere,
    state: failing ? 'failing' : keys === undefined ? 'starting' : 'ok',
    keys: keys ?? 0,
    restored,
    overwritten,
    failures,
    last_published_at: isoOrNull(state.publishedAt),
    last_overwritten_at: isoOrNull(state.overwrittenAt),
    failing_since: failing ? isoOrNull(state.failingSince) : null,
    failure: failing ? (state.failure ?? null) : null,
  };
}

/** @param now epoch ms by the store's clock */
export function findingsOf(
  { name: kind, preset }: Pick<ShownLayout, 'name' | 'preset'>,
  state: LayoutState,
  now: number,
): Finding[] {
  const { overwrittenAt, overwrittenSubject = null, overwritten, failingSince = now } = state;
  const lately = overwrittenAt !== undefined && now - overwrittenAt < OVERWRITTEN_FOR_MS;
  const written = { preset, count: overwritten, credential: state.overwrittenKind ?? '' };
  return [
    ...(isFailing(state, now)
      ? [
          finding('layout_failing', null, {
            kind,
            since: failingSince,
            facts: { preset, reason: state.failure ?? '' },
          }),
        ]
      : []),
    ...(lately
      ? [finding('layout_overwritten', overwrittenSubject, { kind, facts: written })]
      : []),
  ];
}

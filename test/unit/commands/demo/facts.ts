import type {
  Observations,
  SeenCredential,
  SeenStatus,
} from '../../../../src/sandbox/demo/observer.ts';
import { scaleBy } from '../../../../src/sandbox/demo/scale.ts';
import type { Facts } from '../../../../src/sandbox/demo/summary.ts';

/** A run of a minute in which all went well. */

export const NOW = Date.UTC(2026, 0, 1, 12);

function credential(
  kind: SeenCredential['kind'],
  fields: Partial<SeenCredential> = {},
): SeenCredential {
  return {
    kind,
    state: 'fresh',
    obtained_at: new Date(NOW - 6_000).toISOString(),
    expires_at: new Date(NOW + 18_000).toISOString(),
    next_refresh_at: new Date(NOW + 16_000).toISOString(),
    history: { count: 3 },
    ...fields,
  };
}

export function makeStatus(
  fields: {
    problem?: string;
    token?: Partial<SeenCredential>;
    code?: Partial<SeenCredential>;
  } = {},
): SeenStatus {
  const { problem, token, code } = fields;
  return {
    verdict: problem === undefined ? 'ok' : 'attention',
    problems: problem === undefined ? [] : [{ message: problem }],
    components: [
      {
        ticket: { received_at: new Date(NOW - 1_000).toISOString() },
        credentials: [
          credential('component_access_token', token),
          credential('pre_auth_code', code),
        ],
      },
    ],
  };
}

export function makeObservations(fields: Partial<Observations> = {}): Observations {
  return {
    ticketsReceived: 31,
    looks: 590,
    bad: [],
    httpReads: 59,
    httpEqual: 59,
    httpOther: 0,
    status: makeStatus(),
    statusError: undefined,
    ...fields,
  };
}

export function makeFacts(fields: Partial<Facts> = {}): Facts {
  const mints = [0, 20, 40].flatMap((second) => [
    { kind: 'component_access_token' as const, at: NOW + second * 1000 },
    { kind: 'pre_auth_code' as const, at: NOW + second * 1000 },
  ]);
  return {
    elapsedSeconds: 60.1,
    scale: scaleBy(300),
    seen: makeObservations(),
    status: makeStatus(),
    log: { errors: 0, warnings: 0, lastComplaint: undefined, tail: [] },
    pushes: { sent: 31, accepted: 31, times: [NOW, NOW + 2_000, NOW + 5_000] },
    mints,
    exit: { code: 0, signal: null },
    ...fields,
  };
}

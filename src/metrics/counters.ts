import { Counter, Histogram, type Registry } from 'prom-client';
import type { RefreshOutcome, RefreshTrigger } from '../credentials/refresh-types.ts';
import type { CredentialKindName } from '../store/redis/keys.ts';
import type { SeenCall } from '../wechat/client.ts';
import { createTally } from './tally.ts';

/** What this process has done since it started. No label holds an appid. */
export interface Counters {
  onCall: (call: SeenCall) => void;
  onOutcome: (kind: CredentialKindName, reason: RefreshTrigger, outcome: RefreshOutcome) => void;
  /** @param outcome what became of it, or the code of the error it was refused with */
  onPush: (type: 'event' | 'message', outcome: string) => void;
  onComplaint: (outcome: string) => void;
  /** An attempt to deliver a push; routes are named in the settings, so their number is bounded. */
  onDelivery: (route: string, outcome: string) => void;
  /** What a user was told by a target. */
  onReply: (route: string, outcome: string) => void;
  /** A call passed on to WeChat. @param key its id; keys are named in the settings */
  onPassedOn: (outcome: string, key: string) => void;
  /** A read of a credential over HTTP, or a complaint; the labels are names of ours, not the caller's. */
  onRead: (read: { key: string; kind: string; request: string; result: string }) => void;
  onRequest: (listener: Listener, request: SeenRequest) => void;
  /** @param reason why a connection was ended from here, or refused */
  onCut: (listener: Listener, reason: string) => void;
  onLine: (level: 'error' | 'warn') => void;
}

type Listener = 'public' | 'internal';

export interface SeenRequest {
  method: string;
  /** The pattern of the path. */
  route: string;
  status: number;
  seconds: number;
}

/** Seconds. A call to WeChat is given up after 8 s. */
const CALL_BUCKETS = [0.05, 0.1, 0.2, 0.4, 0.8, 1.5, 3, 5, 8];
/** Seconds. WeChat hangs up after 5 s. */
const REQUEST_BUCKETS = [0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5];
/** Anything may stand where a method stands. */
const METHODS = ['GET', 'HEAD', 'POST', 'PUT', 'PATCH', 'DELETE', 'OPTIONS'];

export function createCounters(registry: Registry): Counters {
  const make = makerIn(registry);
  const calls = make.counter('wechat_calls_total', CALLS, ['api', 'result']);
  const callSeconds = make.histogram('wechat_call_duration_seconds', CALL_TIME, CALL_BUCKETS, [
    'api',
  ]);
  const refreshes = make.counter('refreshes_total', REFRESHES, ['kind', 'reason', 'result']);
  const pushes = make.counter('pushes_total', PUSHES, ['type', 'outcome']);
  const complaints = make.counter('complaints_total', COMPLAINTS, ['outcome']);
  const deliveries = make.counter('deliveries_total', DELIVERIES, ['route', 'outcome']);
  const replies = make.counter('replies_total', REPLIES, ['route', 'outcome']);
  const passedOn = make.counter('gateway_calls_total', PASSED_ON, ['key', 'outcome']);
  const reads = make.tally('credential_reads_total', READS, ['key', 'kind', 'request', 'result']);
  const asked = ['listener', 'method', 'route'];
  const requests = make.tally('http_requests_total', REQUESTS, [...asked, 'status']);
  const requestSeconds = make.histogram(
    ...(['http_request_duration_seconds', REQUEST_TIME, REQUEST_BUCKETS, asked] as const),
  );
  const cuts = make.counter('http_connections_cut_total', CUTS, ['listener', 'reason']);
  const lines = make.counter('log_lines_total', LINES, ['level']);
  // From the start, so that the first one is seen as an increase.
  for (const level of ['error', 'warn']) lines.inc({ level }, 0);
  for (const listener of ['public', 'internal']) cuts.inc({ listener, reason: 'full' }, 0);
  for (const type of ['event', 'message']) pushes.inc({ type, outcome: 'stored' }, 0);
  return {
    onCall({ api, result, seconds }) {
      calls.inc({ api, result });
      callSeconds.observe({ api }, seconds);
    },
    onOutcome(kind, reason, { did }) {
      if (did !== 'nothing_due') refreshes.inc({ kind, reason, result: did });
    },
    onPush: (type, outcome) => pushes.inc({ type, outcome }),
    onComplaint: (outcome) => complaints.inc({ outcome }),
    onDelivery: (route, outcome) => deliveries.inc({ route, outcome }),
    onReply: (route, outcome) => replies.inc({ route, outcome }),
    onPassedOn: (outcome, key) => passedOn.inc({ key, outcome }),
    onRead: ({ key, kind, request, result }) => reads.count(key, kind, request, result),
    onRequest(listener, { method, route, status, seconds }) {
      const known = METHODS.includes(method) ? method : 'other';
      requests.count(listener, known, route, String(status));
      requestSeconds.observe({ listener, method: known, route }, seconds);
    },
    onCut: (listener, reason) => cuts.inc({ listener, reason }),
    onLine: (level) => lines.inc({ level }),
  };
}

const CALLS = 'Calls to WeChat; the result is ok, the class of the errcode, or what went wrong.';
const CALL_TIME = 'How long calls to WeChat took.';
const REFRESHES = 'Looks at credentials that found something to do.';
const PUSHES = 'Pushes by what became of them, or the error they were refused with.';
const COMPLAINTS = 'Complaints of services about dead values, by what they were answered.';
const DELIVERIES = 'Attempts to deliver pushes to targets, by what became of the delivery.';
const REPLIES = 'Messages that a target was to reply to while WeChat waits, by what came of it.';
const PASSED_ON = 'Calls passed on to WeChat, by the id of the API key and what came of them.';
const READS =
  'Requests for credentials over HTTP, by the id of the API key, and what came of them.';
const REQUESTS = 'HTTP requests answered.';
const REQUEST_TIME = 'How long HTTP requests took.';
const CUTS = 'Connections refused because all were in use, or ended from here, by the reason.';
const LINES = 'Log lines that say that something is wrong.';

function makerIn(registry: Registry) {
  const registers = [registry];
  return {
    counter: (name: string, help: string, labelNames: string[]) =>
      new Counter({ name: `wxkeeper_${name}`, help, labelNames, registers }),
    /** For what is counted at each request. */
    tally: (name: string, help: string, labelNames: string[]) =>
      createTally(registry, { name: `wxkeeper_${name}`, help, labelNames }),
    histogram: (
      name: string,
      help: string,
      buckets: readonly number[],
      labelNames: readonly string[],
    ) =>
      new Histogram({
        name: `wxkeeper_${name}`,
        help,
        registers,
        buckets: [...buckets],
        labelNames: [...labelNames],
      }),
  };
}

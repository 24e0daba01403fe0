import { deadline, type Clock } from '../lib/clock.ts';
import type { Log } from '../lib/log.ts';
import { proxyFor, type Proxies, type Proxy } from '../lib/proxy.ts';
import { addressesIn, integerIn, isGiven, parseAnswer } from './answer.ts';
import { explainErrcode, type ErrorClass } from './errcodes.ts';
import { describeCall, type CallFailure, type Fault } from './failure.ts';
import { OF_THE_PROXY, PROXY_FAULTS } from './proxy-faults.ts';
import {
  sendRequest,
  HttpClientError,
  MAX_ANSWER_BYTES,
  type HttpAnswer,
} from '../lib/http-client.ts';

/**
 * One function that calls WeChat's HTTP API, with everything bounded: 8 s in all, 64 KB of answer,
 * no redirects, TLS always verified.
 *
 * Success is the presence of the expected field, not the HTTP status: WeChat answers 200 with an
 * errcode, and token answers carry no errcode at all.
 */

/** Milliseconds for one call, all hosts together. Shorter than the lease that guards a mint. */
export const CALL_DEADLINE_MS = 8_000;
const RID = /rid:\s*([0-9a-f][0-9a-f-]{7,63})/i;

export interface WechatRequest {
  /** Name for logs, e.g. `api_component_token`. */
  name: string;
  /** Default POST. */
  method?: 'GET' | 'POST';
  path: string;
  /** Query parameters. They hold tokens: no URL is ever logged. */
  query?: Readonly<Record<string, string>>;
  /** Sent as JSON; none with GET. */
  body?: Readonly<Record<string, unknown>>;
  /** The field whose presence makes an answer a success; without it, `errcode` 0 does. */
  expects?: string;
  /** True when the call is authenticated by the AppSecret: 40001 then means a wrong secret. */
  issuesToken: boolean;
  /** Default 64 KB. */
  maxAnswerBytes?: number;
}

export interface WechatAnswer {
  fields: Readonly<Record<string, unknown>>;
  /** An earlier host answered 5xx: it may have done the work before this one did it again. */
  mayHaveRunTwice: boolean;
}

interface WechatErrorFacts extends CallFailure {
  host: string;
  /** The request reached WeChat and its answer was lost or unreadable: it may have taken effect. */
  mayHaveRun: boolean;
}

/** A call that gave no usable answer. Holds no secret: it is stored, logged and shown. */
export class WechatError extends Error {
  readonly facts: WechatErrorFacts;

  constructor(facts: WechatErrorFacts, cause?: unknown) {
    super(describeCall(facts).message.en, cause === undefined ? undefined : { cause });
    this.name = 'WechatError';
    this.facts = facts;
  }
}

export type WechatApi = (request: WechatRequest) => Promise<WechatAnswer>;

interface ApiOptions {
  /** Origins in order of preference. */
  baseUrls: readonly string[];
  /** None unless given. */
  proxies?: Proxies;
  clock: Clock;
  log: Log;
  /** Called with WeChat's own time, epoch ms, at each answer that carries it. */
  onDate?: (wechatNow: number) => void;
  /** Called after each call to a host. */
  onCall?: (call: SeenCall) => void;
}

/** One finished call, for those who count. */
export interface SeenCall {
  api: string;
  result: 'ok' | ErrorClass | Exclude<Fault, 'errcode'>;
  seconds: number;
}

/** Returns the function that calls WeChat, trying the hosts in order. */
export function createWechatApi(options: ApiOptions): WechatApi {
  const { baseUrls, proxies, clock, log } = options;
  const ways = baseUrls.map((baseUrl): Way => {
    const base = new URL(baseUrl);
    return { base, proxy: proxies && proxyFor(proxies, base) };
  });
  return async (request) => {
    const started = clock.monotonic();
    const total = deadline(clock, CALL_DEADLINE_MS);
    let mayHaveRun = false;
    try {
      let waiting = [...ways];
      for (let way = waiting.shift(); way !== undefined; way = waiting.shift()) {
        const { proxy } = way;
        const { host } = way.base;
        const tookMs = () => Math.round(clock.monotonic() - started);
        const seen = observerOf(options, request.name);
        try {
          const fields = await callHost(way, request, options, total.signal);
          seen('ok');
          log.debug('WeChat answered', { api: request.name, host, took_ms: tookMs() });
          return { fields, mayHaveRunTwice: mayHaveRun };
        } catch (error) {
          if (!(error instanceof WechatError)) throw error;
          const { fault, errcode, rid } = error.facts;
          seen(fault === 'errcode' ? error.facts.class : fault);
          log.warn('call to WeChat failed', {
            api: request.name,
            host,
            proxy: proxy?.url.host,
            fault,
            errcode,
            rid,
            took_ms: tookMs(),
          });
          mayHaveRun ||= error.facts.mayHaveRun;
          if (OF_THE_PROXY.includes(fault)) waiting = waiting.filter((one) => one.proxy !== proxy);
          if (waiting.length === 0 || total.signal.aborted || !anotherHostMayHelp(error)) {
            throw new WechatError({ ...error.facts, mayHaveRun }, error.cause);
          }
        }
      }
      throw new Error('no WeChat host is configured');
    } finally {
      total.cancel();
    }
  };
}

function observerOf({ clock, onCall }: ApiOptions, api: string) {
  const started = clock.monotonic();
  return (result: SeenCall['result']) =>
    onCall?.({ api, result, seconds: (clock.monotonic() - started) / 1000 });
}

/** A refusal is the same on every host; after a request was sent and lost, only the caller decides. */
function anotherHostMayHelp({ facts }: WechatError): boolean {
  const { fault, mayHaveRun } = facts;
  const isUnsent = !mayHaveRun && (fault === 'unreachable' || Object.hasOwn(PROXY_FAULTS, fault));
  return fault === 'http_status' || isUnsent;
}

/** One of the hosts, and the proxy on the way there, if any. */
interface Way {
  base: URL;
  proxy: Proxy | undefined;
}

async function callHost(
  way: Way,
  request: WechatRequest,
  { clock, onDate }: ApiOptions,
  signal: AbortSignal,
): Promise<Record<string, unknown>> {
  const facts = { api: request.name, host: way.base.host };
  const { status, body, date } = await send(way, request, clock, signal);
  if (date !== undefined) onDate?.(date);
  if (status >= 300 && status < 400) {
    throw new WechatError({ ...facts, fault: 'redirect', class: 'config', mayHaveRun: false });
  }
  const fields = parseAnswer(body);
  const errcode = integerIn(fields?.errcode);
  const field = request.expects === undefined ? undefined : fields?.[request.expects];
  const expected = request.expects === undefined ? errcode === 0 : field !== undefined;
  const refused = errcode !== undefined && errcode !== 0;
  // With nothing in the field, the refusal says why.
  if (fields && expected && (isGiven(field) || !refused)) return fields;
  if (refused) {
    const errmsg = typeof fields?.errmsg === 'string' ? fields.errmsg : '';
    const addresses = addressesIn(errmsg);
    throw new WechatError({
      ...facts,
      fault: 'errcode',
      class: explainErrcode(errcode, request.issuesToken).class,
      errcode,
      rid: RID.exec(errmsg)?.[1],
      address: addresses.length === 0 ? undefined : addresses.join(', '),
      mayHaveRun: false,
    });
  }
  const fault = status >= 500 ? 'http_status' : 'bad_body';
  throw new WechatError({ ...facts, fault, class: 'retry', mayHaveRun: true });
}

/** @throws WechatError */
async function send(
  { base, proxy }: Way,
  request: WechatRequest,
  clock: Clock,
  signal: AbortSignal,
): Promise<HttpAnswer> {
  const url = new URL(request.path, base);
  for (const [name, value] of Object.entries(request.query ?? {}))
    url.searchParams.set(name, value);
  const get = request.method === 'GET';
  const payload = get ? undefined : Buffer.from(JSON.stringify(request.body ?? {}));
  try {
    const most = request.maxAnswerBytes ?? MAX_ANSWER_BYTES;
    return await sendRequest(url, payload, clock, signal, most, {}, proxy);
  } catch (error) {
    if (!(error instanceof HttpClientError)) throw error;
    const { fault, sent, cause } = error;
    const facts = { api: request.name, host: url.host, fault, mayHaveRun: sent };
    throw new WechatError({ ...facts, class: 'retry' }, cause);
  }
}

import { Router, type Request, type RequestHandler, type Response } from 'express';
import { APPID } from '../../config/appid.ts';
import { reportInvalid, type ReportContext } from '../../credentials/report-invalid.ts';
import { KeeperError } from '../../lib/errors.ts';
import type { Log } from '../../lib/log.ts';
import { explainErrcode } from '../../wechat/errcodes.ts';
import type { RequireScope } from '../internal/authentication.ts';
import { callerOf } from '../internal/caller.ts';
import { errorAnswer, sendAnswer } from '../facade/answers.ts';
import { requestIdOf } from '../request-response.ts';
import {
  prepareBare,
  prepareKeyed,
  withValue,
  type CallContext,
  type PreparedCall,
} from './calls.ts';
import {
  hasBody,
  MOST_REPEATED,
  SentOnce,
  UpstreamError,
  type Passed,
  type Upstreams,
} from './upstream.ts';

/**
 * WeChat's whole API by this one address: with a key and no token at all under `/v1/wechat/`, and at
 * WeChat's own paths as SDKs call them. Only this host's address must be on WeChat's whitelist.
 */

export interface GatewayOptions extends CallContext {
  reading: ReportContext;
  upstreams: Upstreams;
  log: Log;
  requireScope: RequireScope;
  /** Called with what became of each call. */
  onCall?: ((outcome: CallOutcome, key: string) => void) | undefined;
}

/** `repeated`: with another token, since the first was dead. */
export type CallOutcome = 'ok' | 'repeated' | 'dead_token' | UpstreamError['fault'] | 'refused';

/** Of the key of whoever brings only a token. */
const NO_KEY = 'token';
const METHODS: readonly string[] = ['GET', 'HEAD', 'POST', 'PUT', 'PATCH', 'DELETE'];

export function gatewayRoutes(options: GatewayOptions) {
  return { keyed: keyedGateway(options), bare: bareGateway(options) };
}

function keyedGateway(options: GatewayOptions): Router {
  const router = Router({ caseSensitive: true });
  const admit = options.requireScope('credentials:read');
  const forward: RequestHandler = async (request, response) => {
    const { component = '', authorizer } = request.params as Record<string, string | undefined>;
    const { key } = callerOf(response);
    // Behind `/v1/wechat/` and the names, as it came.
    const rest = `/${request.url
      .split('/')
      .slice(authorizer === undefined ? 4 : 5)
      .join('/')}`;
    await pass(options, request, response, () =>
      prepareKeyed(options, key, { component, authorizer }, rest),
    );
  };
  // The first part of one of WeChat's paths may stand where an authorizer does.
  const hasAuthorizer: RequestHandler = (request, _response, next) => {
    const { authorizer } = request.params;
    if (typeof authorizer === 'string' && APPID.test(authorizer)) next();
    else next('route');
  };
  router.all('/v1/wechat/:component/:authorizer/*path', hasAuthorizer, admit, forward);
  router.all('/v1/wechat/:component/*path', admit, forward);
  return router;
}

/** Behind everything that is served here: what carries a token or a key is a call of WeChat's. */
function bareGateway(options: GatewayOptions): RequestHandler {
  return async (request, response, next) => {
    const isOurs = request.path.startsWith('/v1/') || !METHODS.includes(request.method);
    let call: PreparedCall | undefined;
    try {
      call = isOurs ? undefined : await prepareBare(options, request.url);
    } catch (error) {
      if (!(error instanceof KeeperError)) throw error;
      // Its client believes to be talking with WeChat.
      options.onCall?.('refused', NO_KEY);
      sendAnswer(response, errorAnswer(error, requestIdOf(response)));
      return;
    }
    if (call === undefined) next();
    else await pass(options, request, response, () => Promise.resolve(call));
  };
}

async function pass(
  options: GatewayOptions,
  request: Request,
  response: Response,
  prepare: () => Promise<PreparedCall>,
): Promise<void> {
  const { log, onCall } = options;
  const begun = performance.now();
  const gone = new AbortController();
  response.on('close', () => {
    if (!response.writableFinished) gone.abort();
  });
  response.setHeader('X-Request-Id', requestIdOf(response));
  let call: PreparedCall | undefined;
  const tell = (outcome: CallOutcome, more: Readonly<Record<string, unknown>> = {}) => {
    const key = call?.key?.id ?? NO_KEY;
    onCall?.(outcome, key);
    log.debug('passed on to WeChat', {
      request_id: requestIdOf(response),
      key,
      path: call?.shown,
      outcome,
      took_ms: Math.round(performance.now() - begun),
      ...more,
    });
  };
  try {
    call = await prepare();
    const { outcome, passed } = await sendAndRepeat(options, call, request, response, gone.signal);
    if (passed.held !== undefined) response.writeHead(passed.status, passed.head).end(passed.held);
    tell(outcome, { status: passed.status, ...errorIn(passed) });
  } catch (error) {
    if (!(error instanceof UpstreamError)) throw error;
    tell(error.fault);
    sendFault(error, response);
  }
}

async function sendAndRepeat(
  options: GatewayOptions,
  call: PreparedCall,
  request: Request,
  response: Response,
  signal: AbortSignal,
): Promise<{ outcome: CallOutcome; passed: Passed }> {
  const { upstreams } = options;
  const { method, headers } = request;
  const body = hasBody(request) ? await bodyOf(request) : null;
  const send = ({ path }: PreparedCall) =>
    upstreams.send({ method, path, headers, body }, response, signal);
  const passed = await send(call);
  const { errcode } = errorIn(passed);
  const isDead = errcode !== undefined && explainErrcode(errcode, false).class === 'token';
  if (!isDead || call.used === undefined) return { outcome: 'ok', passed };
  const { id, seq } = call.used;
  const complaint = { seq, errcode, caller: call.key?.id ?? NO_KEY, mayRead: true };
  try {
    const { current } = await reportInvalid(options.reading, id, complaint);
    const isRepeatable = body === null || Buffer.isBuffer(body);
    // What WeChat stands by is refused for another reason, which the caller is to hear.
    if (current.seq === seq || !isRepeatable) return { outcome: 'dead_token', passed };
    return { outcome: 'repeated', passed: await send(withValue(call, current)) };
  } catch (error) {
    if (error instanceof KeeperError) return { outcome: 'dead_token', passed };
    throw error;
  }
}

/** In memory when it is short: only then can the call be repeated. */
async function bodyOf(request: Request): Promise<Buffer | SentOnce> {
  const length = Number(request.headers['content-length'] ?? Infinity);
  if (length > MOST_REPEATED) return new SentOnce(request);
  const chunks: Buffer[] = [];
  for await (const chunk of request as AsyncIterable<Buffer>) chunks.push(chunk);
  return Buffer.concat(chunks);
}

const RID = /rid: ([\w-]+)/;

function errorIn({ held }: Passed): { errcode?: number; rid?: string } {
  if (held === undefined) return {};
  try {
    const { errcode, errmsg } = JSON.parse(held.toString('utf8')) as Record<string, unknown>;
    if (typeof errcode !== 'number' || errcode === 0) return {};
    const rid = RID.exec(typeof errmsg === 'string' ? errmsg : '')?.[1];
    return { errcode, ...(rid === undefined ? {} : { rid }) };
  } catch {
    return {};
  }
}

/**
 * -1 makes SDKs try again, so it is said only where WeChat has surely seen nothing; otherwise the caller
 * must know that nobody knows.
 */
function sendFault({ fault }: UpstreamError, response: Response): void {
  if (response.headersSent || fault === 'gone') {
    response.destroy();
    return;
  }
  const rid = requestIdOf(response);
  const status = { unreached: 200, timeout: 504, broken_off: 502 }[fault];
  const errmsg = `system error, wxkeeper: WeChat ${fault === 'unreached' ? 'cannot be reached' : 'gave no answer'} rid: ${rid}`;
  sendAnswer(response, { errcode: -1, errmsg }, status);
}

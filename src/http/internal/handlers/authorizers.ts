import type { ReadContext } from '../../../credentials/read.ts';
import type { Request, RequestHandler, Response } from 'express';
import * as z from 'zod';
import { refreshProfile } from '../../../authorizers/profile.ts';
import type { Reconciler } from '../../../authorizers/reconciliation/runner.ts';
import { KeeperError } from '../../../lib/errors.ts';
import {
  AUTHORIZER_STATES,
  countAuthorizers,
  findAuthorizers,
  readAuthorizer,
} from '../../../store/authorizers/profile.ts';
import { APPID } from '../../../config/appid.ts';
import { describeAuthorizer, describeAuthorizers } from '../authorizer-view.ts';
import { explain, knownComponent } from '../../explain.ts';
import { AUTHORIZER_DOCS } from '../routes/authorizers.ts';
import type { Route } from '../route.ts';

/** Who has authorized a component: the list, one of them, and the comparison with WeChat's own list. */

export interface AuthorizersOptions {
  context: ReadContext;
  reconciler: Reconciler;
  /** Appids of the configured components. */
  components: readonly string[];
}

const LIST = '/v1/components/:component/authorizers';
const ONE = `${LIST}/:authorizer`;
const PROFILE = `${ONE}/profile`;
const RECONCILE = '/v1/components/:component/reconcile';

const MAX_LIMIT = 200;

const querySchema = z.strictObject({
  limit: z
    .string('must be given once')
    .regex(/^(?:[1-9]|[1-9]\d|1\d\d|200)$/, `must be a whole number from 1 to ${MAX_LIMIT}`)
    .default('50')
    .transform(Number),
  after: z.string('must be given once').regex(APPID, 'must be an appid').optional(),
  search: z
    .string('must be given once')
    .min(1, 'must not be empty')
    .max(100, 'must have at most 100 characters')
    .optional(),
  state: z.enum(AUTHORIZER_STATES, `must be one of ${AUTHORIZER_STATES.join(', ')}`).optional(),
});

export function authorizerRoutes(options: AuthorizersOptions): readonly Route[] {
  const read = { method: 'get', scope: 'status:read' } as const;
  const act = { method: 'post', scope: 'admin' } as const;
  const docs = AUTHORIZER_DOCS;
  return [
    { ...read, path: LIST, handlers: [list(options)], doc: { ...docs.list, query: querySchema } },
    { ...read, path: ONE, handlers: [showOne(options)], doc: docs.one },
    { ...act, path: PROFILE, handlers: [askAgain(options)], doc: docs.profile },
    { ...read, path: RECONCILE, handlers: [showProgress(options)], doc: docs.progress },
    { ...act, path: RECONCILE, handlers: [startReconciling(options)], doc: docs.reconcile },
  ];
}

function list(options: AuthorizersOptions): RequestHandler {
  return async (request, response) => {
    const { context } = options;
    const { store } = context;
    const component = knownComponent(options.components, request);
    const { limit, after = '', search, state } = readQuery(request);
    const query = { limit, after, search, state };
    const { entries, next } = await findAuthorizers(store, component, query);
    response.json({
      authorizers: await describeAuthorizers(context, component, entries),
      next: next ?? null,
      total: await countAuthorizers(store, component),
    });
  };
}

function showOne({ context, components }: AuthorizersOptions): RequestHandler {
  return (request, response) =>
    answerOne(context, knownComponent(components, request), request, response);
}

function askAgain({ context, components }: AuthorizersOptions): RequestHandler {
  return async (request, response) => {
    const component = knownComponent(components, request);
    const authorizer = String(request.params.authorizer);
    const entry = await readAuthorizer(context.store, component, authorizer);
    if (entry === undefined) throw unknown();
    await refreshProfile(context, component, authorizer).catch(explain);
    await answerOne(context, component, request, response);
  };
}

function showProgress({ reconciler, components }: AuthorizersOptions): RequestHandler {
  return async (request, response) => {
    const component = knownComponent(components, request);
    response.json({ reconcile: await reconciler.progress(component) });
  };
}

function startReconciling({ reconciler, components }: AuthorizersOptions): RequestHandler {
  return async (request, response) => {
    const component = knownComponent(components, request);
    await reconciler.request(component);
    response.status(202).json({ reconcile: await reconciler.progress(component) });
  };
}

async function answerOne(
  context: ReadContext,
  component: string,
  request: Request,
  response: Response,
): Promise<void> {
  const appid = String(request.params.authorizer);
  const entry = await readAuthorizer(context.store, component, appid);
  if (entry === undefined) throw unknown();
  response.json(await describeAuthorizer(context, component, { appid, ...entry }));
}

/** @throws KeeperError `bad_request` with every fault */
function readQuery(request: Request): z.output<typeof querySchema> {
  const result = querySchema.safeParse({ ...request.query });
  if (result.success) return result.data;
  const faults = result.error.issues.map((issue) =>
    issue.code === 'unrecognized_keys'
      ? `${issue.keys.join(', ')} ${issue.keys.length === 1 ? 'is' : 'are'} not known here`
      : `${issue.path.join('.')} ${issue.message}`,
  );
  throw new KeeperError('bad_request', `${faults.join('; ')}.`);
}

function unknown(): KeeperError {
  return new KeeperError('not_found', 'This account is not known to have authorized the platform.');
}

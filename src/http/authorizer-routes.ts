import express, { type Request, type Response, type Router } from 'express';
import { z } from 'zod';
import { refreshProfile } from '../authorizers/profiles.ts';
import type { Reconciler } from '../authorizers/reconcile.ts';
import { describeFailure } from '../credentials/failure.ts';
import type { PlatformContext } from '../credentials/platform.ts';
import { KeeperError } from '../errors.ts';
import {
  AUTHORIZER_STATES,
  countAuthorizers,
  findAuthorizers,
  readAuthorizer,
} from '../store/registry.ts';
import { WechatError } from '../wechat/api.ts';
import type { RequireScope } from './authentication.ts';
import { describeAuthorizer, describeAuthorizers } from './authorizer-view.ts';

/** Who has authorized a component: the list, one of them, and the comparison with WeChat's own list. */

export interface AuthorizersOptions {
  context: PlatformContext;
  reconciler: Reconciler;
  /** Appids of the configured components. */
  components: readonly string[];
}

const LIST = '/v1/components/:component/authorizers';
const ONE = `${LIST}/:authorizer`;
const PROFILE = `${ONE}/profile`;
const RECONCILE = '/v1/components/:component/reconcile';

const APPID = /^wx[0-9a-zA-Z]{16}$/;
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

export function authorizerRoutes(options: AuthorizersOptions, requireScope: RequireScope): Router {
  const { context, reconciler } = options;
  const { store } = context;
  const router = express.Router();
  const componentOf = (request: Request) => knownComponent(options, request);

  router.get(LIST, requireScope('status:read'), async (request, response) => {
    const component = componentOf(request);
    const { limit, after = '', search, state } = readQuery(request);
    const query = { limit, after, search, state };
    const { entries, next } = await findAuthorizers(store, component, query);
    response.json({
      authorizers: await describeAuthorizers(context, component, entries),
      next: next ?? null,
      total: await countAuthorizers(store, component),
    });
  });
  router.get(ONE, requireScope('status:read'), async (request, response) => {
    await answerOne(context, componentOf(request), request, response);
  });
  router.post(PROFILE, requireScope('admin'), async (request, response) => {
    const component = componentOf(request);
    const authorizer = String(request.params.authorizer);
    if ((await readAuthorizer(store, component, authorizer)) === undefined) throw unknown();
    await refreshProfile(context, component, authorizer).catch(explain);
    await answerOne(context, component, request, response);
  });
  router.get(RECONCILE, requireScope('status:read'), async (request, response) => {
    response.json({ reconcile: await reconciler.progress(componentOf(request)) });
  });
  router.post(RECONCILE, requireScope('admin'), async (request, response) => {
    const component = componentOf(request);
    await reconciler.request(component);
    response.status(202).json({ reconcile: await reconciler.progress(component) });
  });
  router.all([LIST, ONE], () => refuseMethod('GET'));
  router.all(PROFILE, () => refuseMethod('POST'));
  router.all(RECONCILE, () => refuseMethod('GET and POST'));
  return router;
}

async function answerOne(
  context: PlatformContext,
  component: string,
  request: Request,
  response: Response,
): Promise<void> {
  const appid = String(request.params.authorizer);
  const entry = await readAuthorizer(context.store, component, appid);
  if (entry === undefined) throw unknown();
  response.json(await describeAuthorizer(context, component, { appid, ...entry }));
}

/** @throws KeeperError `unknown_component` */
function knownComponent({ components }: AuthorizersOptions, request: Request): string {
  const component = String(request.params.component);
  if (components.includes(component)) return component;
  throw new KeeperError('unknown_component', 'No such component is configured here.');
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

/** What WeChat said, in words. */
function explain(error: unknown): never {
  if (!(error instanceof WechatError)) throw error;
  const { class: cls, message, advice } = describeFailure(error);
  const heals = ['retry', 'rate', 'token', 'ticket'].includes(cls);
  const code = heals ? 'wechat_unavailable' : 'wechat_refused';
  const text = `${message.replace(/\.$/, '')}. ${advice}`;
  throw new KeeperError(code, text, { cause: error, retryAfterSeconds: heals ? 5 : 600 });
}

function refuseMethod(served: string): never {
  const verb = served.includes(' ') ? 'are' : 'is';
  throw new KeeperError('method_not_allowed', `Only ${served} ${verb} served here.`);
}

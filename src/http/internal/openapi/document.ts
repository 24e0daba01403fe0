import * as z from 'zod';
import { CREDENTIAL_KINDS } from '../../../credentials/kinds/index.ts';
import { KeeperError, type ErrorCode } from '../../../lib/errors.ts';
import { VERSION } from '../../../lib/version.ts';
import { statusSchema } from '../../../status/schema.ts';
import type { Route, SuccessDoc } from '../route.ts';
import * as answers from './answers.ts';
import examples from './examples.json' with { type: 'json' };

/** The internal API as an OpenAPI 3.1 document, made from the table of routes. */

type Json = Record<string, unknown>;

/** By operation and status; `*` is what any operation answers. Each is a real answer: a test takes them. */
const EXAMPLES: Readonly<Record<string, Readonly<Record<string, unknown>>>> = examples;

const DESCRIPTION = `Tokens, tickets and codes of WeChat third-party platforms, and who authorized them.

Send an API key as \`Authorization: Bearer wxk_…\`. \`x-scope\` names the scope an operation needs; \
\`admin\` holds every scope. A scope narrowed to an appid (\`credentials:read@wx…\`) serves where the path \
names that appid, and narrows /status to it.

Every error has the form of the schema Error. Decide by \`code\`; \`x-error-codes\` names those that a status may stand for. \`Retry-After\`, in seconds, says when \
asking again can help; without it, asking again does not. A path that is not here is answered 404 \
\`not_found\`, another method 405 \`method_not_allowed\` with \`Allow\`. HEAD is served where GET is.`;

const NAMED = new Map<z.ZodType, string>([
  [answers.errorSchema, 'Error'],
  [answers.credentialSchema, 'Credential'],
  [answers.rejectionSchema, 'Rejection'],
  [answers.authorizerSchema, 'Authorizer'],
  [answers.authorizerListSchema, 'AuthorizerList'],
  [answers.reconcileSchema, 'Reconciliation'],
  [answers.linkAnswerSchema, 'AuthorizationLink'],
  [answers.linkOutcomeSchema, 'AuthorizationLinkOutcome'],
  [statusSchema, 'Status'],
]);

interface ParameterDoc {
  description: string;
  schema: Json;
}

const PARAMETERS: Readonly<Record<string, ParameterDoc>> = {
  kind: { description: 'What to read.', schema: { enum: ['authorizer_access_token'] } },
  component: {
    description: 'Appid of a component (third-party platform).',
    schema: { examples: ['wx0123456789abcdef'] },
  },
  link: {
    description: 'The id of a link.',
    schema: { examples: ['2Zr1wHlfYv0qS8aB'] },
  },
  authorizer: {
    description: 'Appid of an account that authorized the component.',
    schema: { examples: ['wx5ca6a28cbf8bf405'] },
  },
};

/** Where the path names no authorizer: a component's credentials, or those of an account of our own. */
const OWN_KINDS = CREDENTIAL_KINDS.map(({ name }) => name).filter(
  (name) => name !== 'authorizer_access_token',
);
const OWN: Readonly<Record<string, ParameterDoc>> = {
  kind: {
    description:
      'component_access_token and pre_auth_code of a component, the others of an account.',
    schema: { enum: OWN_KINDS },
  },
};

const RETRY_AFTER = { 'Retry-After': 'Seconds.' };
const CHALLENGE = { 'WWW-Authenticate': '`Bearer`.' };

/** @param routes the whole table */
export function describeApi(routes: readonly Route[]): Json {
  const paths: Record<string, Json> = {};
  for (const route of routes) {
    const path = route.path.replace(/:(\w+)/g, '{$1}');
    paths[path] = { ...paths[path], [route.method]: describeOperation(route) };
  }
  const schemas = [...NAMED].map(([schema, name]) => [name, toJsonSchema(schema)] as const);
  return {
    openapi: '3.1.0',
    info: {
      title: 'wxkeeper',
      version: VERSION,
      description: DESCRIPTION,
      license: { name: 'MIT', identifier: 'MIT' },
    },
    servers: [{ url: '/', description: 'The internal listener (INTERNAL_PORT).' }],
    paths,
    components: {
      schemas: Object.fromEntries(schemas),
      securitySchemes: {
        bearer: { type: 'http', scheme: 'bearer', description: 'An API key: npm run keys.' },
      },
    },
  };
}

function describeOperation(route: Route): Json {
  const { scope, doc } = route;
  const { operationId, summary, description = '', body } = doc;
  const needs = scope === 'none' ? 'Needs no key.' : `Needs the scope \`${scope}\`.`;
  const parameters = [
    ...pathParameters(route),
    ...queryParameters(doc.query),
    ...headerParameters(doc.headers),
  ];
  return {
    operationId,
    summary: summary.en,
    description: `${description} ${needs}`.trim(),
    'x-scope': scope,
    security: scope === 'none' ? [] : [{ bearer: [] }],
    ...(parameters.length > 0 && { parameters }),
    ...(body !== undefined && {
      requestBody: {
        required: doc.bodyIsOptional !== true,
        content: { 'application/json': { schema: toJsonSchema(body) } },
      },
    }),
    responses: {
      ...Object.fromEntries(
        doc.success.map((one) => [one.status, describeSuccess(operationId, one)]),
      ),
      ...describeErrors(route),
    },
  };
}

function describeSuccess(operationId: string, success: SuccessDoc): Json {
  const { status, description, schema, contentType, headers } = success;
  const example = EXAMPLES[operationId]?.[status];
  const type = contentType ?? (schema === undefined ? undefined : 'application/json');
  const shape = schema === undefined ? { type: 'string' } : reference(schema);
  return {
    description,
    ...(headers !== undefined && { headers: describeHeaders(headers) }),
    ...(type !== undefined && {
      content: { [type]: { schema: shape, ...(example !== undefined && { example }) } },
    }),
  };
}

/** One entry for each status, with the codes that it may stand for. */
function describeErrors({ scope, doc }: Route): Json {
  const ofKeys = ['unauthorized', 'forbidden', 'too_many_requests', 'internal'] as const;
  const codes = [...new Set<ErrorCode>([...doc.errors, ...(scope === 'none' ? [] : ofKeys)])];
  const statuses = new Set(codes.map(statusOf));
  const entries = [...statuses].map((status) => {
    const some = codes.filter((code) => statusOf(code) === status);
    const example = EXAMPLES[doc.operationId]?.[status] ?? EXAMPLES['*']?.[status];
    const schema = reference(answers.errorSchema);
    const mayRetry = some.some((one) => new KeeperError(one, '').retryable);
    const headers = { ...(mayRetry && RETRY_AFTER), ...(status === 401 && CHALLENGE) };
    return [
      status,
      {
        description: some.map((one) => `\`${one}\`: ${MEANINGS[one] ?? ''}`).join('\n\n'),
        'x-error-codes': some,
        ...(Object.keys(headers).length > 0 && { headers: describeHeaders(headers) }),
        content: {
          'application/json': { schema, ...(example !== undefined && { example }) },
        },
      },
    ] as const;
  });
  return Object.fromEntries(entries);
}

function statusOf(code: ErrorCode): number {
  return new KeeperError(code, '').status;
}

const MEANINGS: Readonly<Partial<Record<ErrorCode, string>>> = {
  bad_request: 'the message names every fault of the request.',
  unauthorized: 'no key, or an unknown one.',
  forbidden: 'the key lacks the scope here.',
  not_found: 'nothing of this name is kept here.',
  unknown_component: 'no such component is configured.',
  authorizer_revoked: 'the account has ended its authorization, or must renew it: send it a link.',
  too_many_requests: 'wrong keys from this address, or too many calls of this operation.',
  internal: 'a fault of wxkeeper; its log says more under request_id.',
  not_configured: 'a setting is missing.',
  stopping: 'this process is stopping: ask another one.',
  no_ticket: 'WeChat has not pushed a component_verify_ticket yet.',
  ticket_expired: 'the last ticket is 12 hours old, or WeChat refuses it.',
  store_unavailable: 'Redis is away.',
  wechat_unavailable: 'WeChat gave no usable answer; it is tried again.',
  wechat_refused: 'WeChat refuses, and a person must act: the message says how.',
  quota_exhausted: 'the calls of this day are used up.',
  sealed_unreadable: 'the key that sealed the refresh token is missing.',
};

function pathParameters({ path }: Route): Json[] {
  const names = [...path.matchAll(/:(\w+)/g)].map(([, name = '']) => name);
  const ofAuthorizer = names.includes('authorizer');
  return names.map((name) => {
    const { description = '', schema } = { ...PARAMETERS[name], ...(!ofAuthorizer && OWN[name]) };
    return { name, in: 'path', required: true, description, schema: { type: 'string', ...schema } };
  });
}

function queryParameters(query: z.ZodType | undefined): Json[] {
  if (query === undefined) return [];
  const { properties = {} } = toJsonSchema(query) as { properties?: Record<string, Json> };
  return Object.entries(properties).map(([name, { description, ...schema }]) => ({
    name,
    in: 'query',
    ...(description !== undefined && { description }),
    schema,
  }));
}

function headerParameters(headers: Readonly<Record<string, string>> = {}): Json[] {
  return Object.entries(headers).map(([name, description]) => ({
    name,
    in: 'header',
    description,
    schema: { type: 'string' },
  }));
}

function describeHeaders(headers: Readonly<Record<string, string>>): Json {
  const entries = Object.entries(headers).map(([name, description]) => [
    name,
    { description, schema: { type: 'string' } },
  ]);
  return Object.fromEntries(entries) as Json;
}

function reference(schema: z.ZodType): Json {
  const name = NAMED.get(schema);
  return name === undefined ? toJsonSchema(schema) : { $ref: `#/components/schemas/${name}` };
}

/** As it is sent: `input`, so that more fields may come with a later version. */
function toJsonSchema(schema: z.ZodType): Json {
  const json: Json = z.toJSONSchema(schema, { io: 'input' });
  delete json.$schema;
  return json;
}

import { readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { Validator } from '@seriousme/openapi-schema-validator';
import { format } from 'prettier';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import type { Route } from '../../src/http/internal/route.ts';
import { ROUTES } from '../../src/http/internal/routes.ts';
import { errorSchema } from '../../src/http/internal/openapi/answers.ts';
import { KeeperError } from '../../src/lib/errors.ts';
import { type Examples, takeExamples } from '../kit/api-examples.ts';
import { createTestPlatform, type TestPlatform } from '../kit/platform.ts';

const FILE = join(import.meta.dirname, '../../src/http/internal/openapi/examples.json');
const routes: readonly Route[] = ROUTES;
/** Its answer is the document in which the example would stand. */
const WITHOUT_EXAMPLE = 'readOpenapi';

interface Media {
  schema: object;
  example?: unknown;
}
interface Operation {
  operationId: string;
  'x-scope': string;
  parameters?: { name: string; in: string }[];
  responses: Record<string, Answer>;
}
interface Answer {
  description: string;
  headers?: Record<string, unknown>;
  content?: Record<string, Media>;
  'x-error-codes'?: KeeperError['code'][];
}
interface Document {
  openapi: string;
  paths: Record<string, Record<string, Operation>>;
}

let platform: TestPlatform;
let document: Document;
let operations: Operation[];

beforeAll(async () => {
  platform = await createTestPlatform();
  document = (await (await platform.internal('/openapi.json')).json()) as Document;
  operations = Object.values(document.paths).flatMap((path) => Object.values(path));
});
afterAll(() => platform.close());

describe('the document of the internal API', () => {
  it('is valid OpenAPI 3.1', async () => {
    const validator = new Validator();
    const { valid, errors } = await validator.validate({ ...structuredClone(document) });
    expect(errors).toBeUndefined();
    expect(valid).toBe(true);
    expect(validator.version).toBe('3.1');
  });

  it('describes every route of the running service, and no other', () => {
    const described = Object.entries(document.paths).flatMap(([path, methods]) =>
      Object.keys(methods).map((method) => `${method} ${path.replace(/\{(\w+)\}/g, ':$1')}`),
    );
    const table = routes.map(({ method, path }) => `${method} ${path}`);
    expect(described.sort()).toEqual(table.sort());
    expect(new Set(operations.map(({ operationId }) => operationId)).size).toBe(described.length);
  });

  it('says what each error code means', () => {
    for (const { operationId, responses } of operations) {
      for (const { description } of Object.values(responses)) {
        expect(description, operationId).toMatch(/^\S/);
        expect(description, operationId).not.toMatch(/: $/m);
      }
    }
  });

  it('names the headers that are heeded and sent', () => {
    for (const { operationId, parameters = [], responses } of operations) {
      const heeded = parameters.filter((one) => one.in === 'header').map(({ name }) => name);
      const reads = operationId.startsWith('readCredential');
      expect(heeded, operationId).toEqual(reads ? ['If-None-Match'] : []);
      for (const [status, { headers = {}, ...answer }] of Object.entries(responses)) {
        const codes = answer['x-error-codes'] ?? [];
        const errors = codes.map((code) => new KeeperError(code, ''));
        expect(errors.every((one) => one.status === Number(status))).toBe(true);
        expect('WWW-Authenticate' in headers, operationId).toBe(status === '401');
        const wait = errors.some(({ retryable }) => retryable);
        if (codes.length > 0) expect('Retry-After' in headers, operationId).toBe(wait);
      }
    }
    const reports = operations.filter(({ operationId }) => operationId.startsWith('rejectCred'));
    for (const { responses } of reports) {
      expect(Object.keys(responses['200']?.headers ?? {})).toEqual(['ETag', 'Retry-After']);
    }
  });

  it('has an example for every answer with a body', () => {
    const missing = operations.flatMap(({ operationId, responses }) =>
      Object.entries(responses)
        .filter(([, { content }]) => Object.values(content ?? {}).some((one) => !one.example))
        .map(([status]) => `${operationId} ${status}`),
    );
    expect(missing).toEqual([`${WITHOUT_EXAMPLE} 200`]);
  });
});

describe('the paths', () => {
  it.each(['/STATUS', '/V1/credentials/pre_auth_code/wx0123456789abcdef', '//status', '/v1%2fx'])(
    'are taken to the letter: %s is none',
    async (path) => {
      const response = await platform.internal(path);
      expect(response.status).toBe(404);
      expect(await response.json()).toMatchObject({ error: { code: 'not_found' } });
    },
  );

  it.each([
    [{ body: JSON.stringify({ long: 'x'.repeat(2_000) }) }, /too long/],
    [{ body: '{}', headers: { 'content-type': 'application/json; charset=koi8-r' } }, /UTF-8/],
    [{ body: '{}', headers: { 'content-encoding': 'gzip' } }, /not compressed/],
  ])('say what is wrong with a body: %#', async (init, message) => {
    const path = '/v1/credentials/component_access_token/wx0123456789abcdef/rejected';
    const response = await platform.internal(path, { method: 'POST', ...init });
    const { error } = (await response.json()) as { error: { code: string; message: string } };
    expect([response.status, error.code]).toEqual([400, 'bad_request']);
    expect(error.message).toMatch(message);
  });
});

describe('its examples', () => {
  let taken: Examples;
  beforeAll(async () => {
    taken = await takeExamples();
    if (process.env.UPDATE_EXAMPLES === '1') {
      await writeFile(
        FILE,
        await format(JSON.stringify(taken), { parser: 'json', printWidth: 100 }),
      );
    }
  });

  it('are what the service answers (UPDATE_EXAMPLES=1 takes them anew)', async () => {
    expect(JSON.parse(await readFile(FILE, 'utf8'))).toEqual(taken);
  });

  it('have the form that the document gives them, and no field more', () => {
    for (const { doc } of routes) {
      for (const { status, schema } of doc.success) {
        const example = taken[doc.operationId]?.[status];
        if (schema === undefined || doc.operationId === WITHOUT_EXAMPLE) continue;
        // What a schema does not know, parsing leaves out.
        expect(schema.parse(example), `${doc.operationId} ${status}`).toEqual(example);
      }
    }
  });

  it('of errors have one of the codes of their status', () => {
    const codesOf = new Map(
      routes.map(({ doc }) => [doc.operationId, new Set<string>(doc.errors)]),
    );
    for (const [operation, byStatus] of Object.entries(taken)) {
      for (const [status, body] of Object.entries(byStatus)) {
        const { success, data } = errorSchema.safeParse(body);
        if (!success) continue;
        const code = data.error.code as KeeperError['code'];
        expect(new KeeperError(code, '').status, `${operation} ${status}`).toBe(Number(status));
        const known = codesOf.get(operation)?.has(code) ?? true;
        expect(known || status === '403', `${operation} ${status} ${code}`).toBe(true);
      }
    }
  });

  it('hold nothing that could be taken for a secret', () => {
    const text = JSON.stringify(taken);
    expect(text).not.toMatch(/wxk_\w{8}|refreshtoken@@@|\d\d_[A-Za-z0-9]{20}|[A-Za-z0-9_-]{43,}/);
  });
});
